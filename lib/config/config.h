/* ch4_config: the pipeline file. One struct for all processes: the orchestrator resolves file, --set and defaults, writes
 * OUT/run.yaml, and every stage reads that file, so all see the same values.
 *
 * Convention: an option that overrides what the model's model.yaml says has a value that means "as the model says" (an empty
 * list, the choice `model`, or the number named in its help), and that value is its default. Help, ranges and defaults
 * of every field: config.c, or `chain4d help options`. Enumerators are in the order of their *_CHOICES text. */
#ifndef CH4_CONFIG_H
#define CH4_CONFIG_H

#include "config/schema.h"

typedef enum ch4_config_device { CH4_CONFIG_CPU, CH4_CONFIG_REF } ch4_config_device;
#define CH4_CONFIG_DEVICE_CHOICES "cpu|ref"

typedef enum ch4_foreground { CH4_FOREGROUND_AUTO, CH4_FOREGROUND_ALPHA, CH4_FOREGROUND_MASK, CH4_FOREGROUND_KEY, CH4_FOREGROUND_RMBG } ch4_foreground;
#define CH4_FOREGROUND_CHOICES "auto|alpha|mask|key|rmbg"

typedef enum ch4_mesh_normalize { CH4_MESH_NORMALIZE_AUTO, CH4_MESH_NORMALIZE_NEVER, CH4_MESH_NORMALIZE_ALWAYS } ch4_mesh_normalize;
#define CH4_MESH_NORMALIZE_CHOICES "auto|never|always"

typedef enum ch4_noise { CH4_NOISE_MODEL, CH4_NOISE_INDEPENDENT, CH4_NOISE_SHARED, CH4_NOISE_MATCHED } ch4_noise;
#define CH4_NOISE_CHOICES "model|independent|shared|matched"

#define CH4_WEIGHTS_CHOICES "stored|float32|bfloat16"
typedef enum ch4_config_weights { CH4_CONFIG_WEIGHTS_STORED, CH4_CONFIG_WEIGHTS_FLOAT32, CH4_CONFIG_WEIGHTS_BFLOAT16 } ch4_config_weights;

#define CH4_OFFLOAD_CHOICES "none|layers"
typedef enum ch4_offload { CH4_OFFLOAD_NONE, CH4_OFFLOAD_LAYERS } ch4_offload;

typedef enum ch4_attention_store { CH4_ATTENTION_TOPK, CH4_ATTENTION_DENSE } ch4_attention_store;
#define CH4_ATTENTION_STORE_CHOICES "topk|dense"

typedef enum ch4_branch { CH4_BRANCH_MODEL, CH4_BRANCH_CONDITIONAL, CH4_BRANCH_UNCONDITIONAL, CH4_BRANCH_MEAN } ch4_branch;
#define CH4_BRANCH_CHOICES "model|conditional|unconditional|mean"

typedef enum ch4_direction { CH4_DIRECTION_MODEL, CH4_DIRECTION_ANCHOR_TO_FRAME, CH4_DIRECTION_FRAME_TO_ANCHOR, CH4_DIRECTION_BOTH } ch4_direction;
#define CH4_DIRECTION_CHOICES "model|anchor_to_frame|frame_to_anchor|both"

/* When the rows of an N x N block are divided by their sum: not at all, per head before averaging, or after averaging. */
typedef enum ch4_row_norm { CH4_ROW_NORM_MODEL, CH4_ROW_NORM_RAW, CH4_ROW_NORM_HEAD, CH4_ROW_NORM_MEAN } ch4_row_norm;
#define CH4_ROW_NORM_CHOICES "model|raw|head|mean"

typedef enum ch4_reinforce_mode { CH4_REINFORCE_OFF, CH4_REINFORCE_WINDOW, CH4_REINFORCE_NEXT, CH4_REINFORCE_ALWAYS } ch4_reinforce_mode;
#define CH4_REINFORCE_MODE_CHOICES "off|window|next|both"

typedef enum ch4_reinforce_direction { CH4_REINFORCE_ANCHOR, CH4_REINFORCE_FRAME, CH4_REINFORCE_BOTH } ch4_reinforce_direction;
#define CH4_REINFORCE_DIRECTION_CHOICES "anchor_rows|frame_rows|both"

/* How candidate rows enter Eq. 3: as they are, scaled to unit length, or divided by the column sums over the candidates. */
typedef enum ch4_endpoint { CH4_ENDPOINT_MODEL, CH4_ENDPOINT_PLAIN, CH4_ENDPOINT_UNIT, CH4_ENDPOINT_COLUMN } ch4_endpoint;
#define CH4_ENDPOINT_CHOICES "model|plain|unit|column"

/* Which tokens the landmarks of a later window belong to: asked of the mesh that was handed over, or as in the clip's first window. */
typedef enum ch4_chain_rows { CH4_CHAIN_ROWS_AUTO, CH4_CHAIN_ROWS_HANDOVER, CH4_CHAIN_ROWS_FIRST } ch4_chain_rows;
#define CH4_CHAIN_ROWS_CHOICES "auto|handover|first"

typedef enum ch4_temperature_mode { CH4_TEMPERATURE_RELATIVE, CH4_TEMPERATURE_ABSOLUTE } ch4_temperature_mode;
#define CH4_TEMPERATURE_CHOICES "relative|absolute"

/* Landmark score: the best score of Eq. 3, or that times the attention mass which the landmark's tokens spend on the frame. */
typedef enum ch4_score_rule { CH4_SCORE_MAX, CH4_SCORE_MAX_MASS } ch4_score_rule;
#define CH4_SCORE_CHOICES "max|max_mass"

typedef enum ch4_patch_norm { CH4_PATCH_RAW, CH4_PATCH_NORM } ch4_patch_norm;
#define CH4_PATCH_NORM_CHOICES "raw|patchnorm"

/* How the anchor's field becomes a mesh where none is given: along the surface from a coarse grid on, or as ActionMesh or TripoSG do it. */
typedef enum ch4_surface_method { CH4_SURFACE_FOLLOW, CH4_SURFACE_FLASH, CH4_SURFACE_HIERARCHICAL } ch4_surface_method;
#define CH4_SURFACE_METHOD_CHOICES "follow|flash|hierarchical"

typedef enum ch4_surface_compat { CH4_SURFACE_FIXED, CH4_SURFACE_REFERENCE } ch4_surface_compat;
#define CH4_SURFACE_COMPAT_CHOICES "fixed|reference"

/* What moves the mesh: landmarks of the attention chain, or the model's temporal autoencoder (ActionMesh stage II). */
typedef enum ch4_animate_method { CH4_ANIMATE_CHAIN, CH4_ANIMATE_LEARNED } ch4_animate_method;
#define CH4_ANIMATE_METHOD_CHOICES "chain|learned"

typedef enum ch4_normals { CH4_NORMALS_OUTWARD, CH4_NORMALS_INWARD } ch4_normals;
#define CH4_NORMALS_CHOICES "outward|inward"

typedef enum ch4_confidence { CH4_CONFIDENCE_BINARY, CH4_CONFIDENCE_SCORE } ch4_confidence;
#define CH4_CONFIDENCE_CHOICES "binary|score"

typedef enum ch4_pose_mode { CH4_POSE_PER_FRAME, CH4_POSE_ANCHOR } ch4_pose_mode;
#define CH4_POSE_MODE_CHOICES "per_frame|anchor"

typedef enum ch4_config_level { CH4_CONFIG_DEBUG, CH4_CONFIG_INFO, CH4_CONFIG_WARN, CH4_CONFIG_ERROR } ch4_config_level;
#define CH4_CONFIG_LEVEL_CHOICES "debug|info|warn|error" /* same values as ch4_log_level */

typedef struct ch4_config {
    struct {
        int64_t seed;
        char *model; /* folder of a model; "" = the bundled one */
        ch4_config_device device;
        int64_t threads;
    } run;
    struct {
        int64_t max_side, max_frames, stride, window, slide;
        ch4_foreground foreground;
        char *mask;
        double key_tolerance, key_border, padding, min_foreground, image_fps;
    } decode;
    struct {
        char *frame, *handover; /* see ch4_config_anchor_frame, ch4_config_handover */
    } anchor;
    struct {
        char *path; /* "" = no mesh given */
        ch4_mesh_normalize normalize;
        char *yaw; /* see ch4_config_mesh_yaw */
        int64_t points, max_faces;
        double floaters;
    } mesh;
    struct {
        int64_t steps, anchor_steps, anchor_draws, anchor_frames;
        double shift, guidance;
        ch4_noise noise;
        ch4_config_weights weights;
        ch4_offload offload;
    } denoise;
    struct {
        ch4_attention_store store;
        int64_t k;
        ch4_ints layers, heads, steps;
        ch4_branch branch;
        ch4_direction direction;
        ch4_row_norm normalize;
        int64_t sinkhorn;
        double power;
    } attention;
    struct {
        ch4_surface_method method;
        ch4_surface_compat compat;
        int64_t depth;
    } surface;
    struct {
        ch4_reinforce_mode mode;
        ch4_reinforce_direction direction;
        double gain, share;
        ch4_ints layers;
        int64_t after, landmarks;
    } reinforce;
    struct {
        int64_t resolution, anchor_resolution;
        double band;
        int64_t candidates, candidates_min, topk;
        ch4_temperature_mode temperature_mode;
        double temperature;
        ch4_endpoint endpoint;
        ch4_chain_rows rows;
        int64_t landmarks;
        double curvature_boost;
        ch4_score_rule score;
        ch4_patch_norm patch_norm;
        double patch_temperature;
        int64_t patch_radius;
        bool surfaces;
    } chain;
    struct {
        ch4_animate_method method;
        ch4_normals normals;
        double smooth_sigma, final_sigma;
        int64_t neighbors;
        double beta, outlier_factor, outlier_floor, outlier_absolute, min_valid;
        ch4_confidence confidence;
    } animate;
    struct {
        double focal, threshold_px;
        int64_t iterations;
        double confidence;
        int64_t track_stride;
        double cauchy_px;
        ch4_pose_mode mode;
        bool outline;
        double view_weight;
    } pose;
    struct {
        double fps;
        bool glb, keep;
    } sink;
    struct {
        int64_t windows, credit_bytes;
        double heartbeat_s, ready_s, stall_s, drain_s;
        int64_t retries;
    } pipeline;
    struct {
        ch4_config_level level;
    } log;
} ch4_config;

/* The table of all options above. */
extern const ch4_schema ch4_config_schema;

/* Thin wrappers of the schema functions. A struct is made by defaults or load, and freed by fini (zeroed structs are fine).
 *
 * load: defaults, then the file (path NULL: none), then n_sets assignments "a.b=v" in order, then the checks between options.
 * CH4_ECONFIG with all problems in *problems (may be NULL); *out is then as after fini. */
ch4_status ch4_config_defaults(ch4_config *out, ch4_err *err);
ch4_status ch4_config_load(ch4_config *out, const char *path, const char *const *sets, int64_t n_sets, ch4_problems *problems,
                           ch4_err *err);
ch4_status ch4_config_save(const ch4_config *config, const char *path, ch4_err *err);
void       ch4_config_fini(ch4_config *config);

/* anchor.frame as a number: the frame, or CH4_ANCHOR_AUTO. CH4_ECONFIG: neither. A loaded configuration has been checked. */
enum { CH4_ANCHOR_AUTO = -1 };
ch4_status ch4_config_anchor_frame(int64_t *frame, const ch4_config *config, ch4_err *err);

/* mesh.yaw: degrees, or *searched for auto. CH4_ECONFIG: neither. A loaded configuration has been checked. */
ch4_status ch4_config_mesh_yaw(double *yaw, bool *searched, const ch4_config *config, ch4_err *err);

/* anchor.handover as a number: the mesh is encoded anew in every so many windows; 0: never. CH4_ECONFIG and as above. */
ch4_status ch4_config_handover(int64_t *every, const ch4_config *config, ch4_err *err);

#endif

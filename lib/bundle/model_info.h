/* ch4_model_info: what model.yaml says of a model: where its networks are, how it is sampled, and how its attention is to be read. */
#ifndef CH4_BUNDLE_MODEL_INFO_H
#define CH4_BUNDLE_MODEL_INFO_H

#include "config/schema.h"

typedef enum ch4_model_image3d { CH4_MODEL_IMAGE3D_DENOISER, CH4_MODEL_IMAGE3D_TRIPOSG } ch4_model_image3d;
typedef enum ch4_model_noise { CH4_MODEL_NOISE_INDEPENDENT, CH4_MODEL_NOISE_SHARED, CH4_MODEL_NOISE_MATCHED } ch4_model_noise;
typedef enum ch4_model_branch { CH4_MODEL_BRANCH_CONDITIONAL, CH4_MODEL_BRANCH_UNCONDITIONAL, CH4_MODEL_BRANCH_MEAN } ch4_model_branch;
typedef enum ch4_model_direction { CH4_MODEL_ANCHOR_TO_FRAME, CH4_MODEL_FRAME_TO_ANCHOR, CH4_MODEL_BOTH_WAYS } ch4_model_direction;
typedef enum ch4_model_row_norm { CH4_MODEL_ROW_RAW, CH4_MODEL_ROW_HEAD, CH4_MODEL_ROW_MEAN } ch4_model_row_norm;
typedef enum ch4_model_inside { CH4_MODEL_INSIDE_AUTO, CH4_MODEL_INSIDE_POSITIVE, CH4_MODEL_INSIDE_NEGATIVE } ch4_model_inside;

typedef struct ch4_model_info {
    char *name;
    struct {
        struct { char *path; } denoiser, image_encoder, transformer, autoencoder;
        struct { char *path; int64_t points, preselect; } vae;
        struct { char *path; int64_t side; } matting;
        ch4_model_image3d image_to_3d;
    } networks; /* paths are relative to the model's folder */
    ch4_model_noise noise;
    double noise_anchor; /* after matching: noise = P anchor + sqrt(1 - P^2) noise, the same for all open frames */
    int64_t steps;
    double shift, guidance;
    struct { int64_t draws, frames, steps; double shift, guidance; } anchor; /* image-to-3D; 0 = as above */
    struct {
        ch4_ints layers, heads; /* paired: head heads[i] of layer layers[i]; no heads: all heads of the layers */
        char *step;             /* "last", or the number of a step */
        ch4_model_branch branch;
        ch4_model_direction direction;
        ch4_model_row_norm normalize;
        int64_t sinkhorn;
        double power;
    } attention;
    struct { bool unit_norm; int64_t topk; double temperature; } chain;
    struct { double smooth_sigma, final_sigma, beta; } animate; /* as the options of these names */
    struct { ch4_model_inside inside; } field;
    struct { bool known; double azimuth, elevation; } view; /* from where the training saw its objects; one direction, or not known */
    struct { ch4_ints layers, heads; } supervised_heads;
    struct { char *path; } familiar; /* mean [W], whiten [W,W], limit [1] of the training's image features */
    struct {
        char *note;
        ch4_strs plans;
        struct { char *train, *validation, *test; } seeds;
        int64_t seed;
        char *weights_sha256;
    } training;
} ch4_model_info;

extern const ch4_schema ch4_model_info_schema;

/* Reads a model.yaml. CH4_ENOENT, CH4_ECONFIG (first problem and their number; all of them in *problems unless NULL). Free with fini. */
ch4_status ch4_model_info_load(ch4_model_info *out, const char *path, ch4_problems *problems, ch4_err *err);
void       ch4_model_info_fini(ch4_model_info *info);

/* Index of the step that is read among `steps`: attention.step as a number, negative from the end. CH4_ECONFIG. */
ch4_status ch4_model_info_step(int64_t *out, const ch4_model_info *info, int64_t steps, ch4_err *err);

#endif

#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#define O(member, def, min, max, choices, help) CH4_OPT(ch4_config, member, def, min, max, choices, help)

/* The options of one section stand together; a written file keeps this order. */
static const ch4_opt options[] = {
    O(run.seed, "44", 0, 4e9, NULL, "seed of all random numbers; window w uses seed + w"),
    O(run.model, "", 0, 0, NULL, "folder of the model, \"\" = the bundled one"),
    O(run.device, "cpu", 0, 0, CH4_CONFIG_DEVICE_CHOICES, "where networks are computed; ref is the slow reference"),
    O(run.threads, "0", 0, 1024, NULL, "threads of one process, 0 = one per processor"),

    O(decode.max_side, "512", 64, 4096, NULL, "side of the square frames that are kept, pixels; larger crops are reduced to it"),
    O(decode.max_frames, "0", 0, 1e6, NULL, "frames used of a clip, 0 = all"),
    O(decode.stride, "1", 1, 1000, NULL, "every n-th frame of the video is used"),
    O(decode.window, "16", 2, 64, NULL, "frames of a window"),
    O(decode.slide, "15", 1, 64, NULL, "new frames of each further window, at most decode.window"),
    O(decode.foreground, "auto", 0, 0, CH4_FOREGROUND_CHOICES,
      "where the object's mask comes from: auto takes alpha, else the mask, else the model's background remover (rmbg) if it is there, else keys a uniform background"),
    O(decode.mask, "", 0, 0, NULL, "video or folder of pictures with the object white, one per frame of the clip"),
    O(decode.key_tolerance, "24", 1, 255, NULL, "keying: colour distance from the background that counts as object, 8-bit units"),
    O(decode.key_border, "0.9", 0.5, 1, NULL, "keying: share of border pixels that must agree with the background colour"),
    O(decode.padding, "0.1", 0, 1, NULL, "padding of the crop as a share of its longer side"),
    O(decode.min_foreground, "0.01", 0, 0.5, NULL, "alpha is used if at least this share of the first frame's pixels is transparent"),
    O(decode.image_fps, "24", 0.01, 1000, NULL, "frames per second given to a folder of images"),

    O(anchor.frame, "first", 0, 0, NULL, "frame that gives the mesh: first, its number counted in used frames, or auto: where the object is largest and sharpest"),
    O(anchor.handover, "latent", 0, 0, NULL,
      "latent of a window's anchor frame: latent = as the window before left it, reencode = its animated mesh encoded anew, reencode:R = so every R-th window"),

    O(mesh.path, "", 0, 0, NULL, "GLB or OBJ of the object at the anchor frame, \"\" = made from the image"),
    O(mesh.normalize, "auto", 0, 0, CH4_MESH_NORMALIZE_CHOICES,
      "fit the given mesh into the cube [-1,1]: auto does so unless it lies inside already"),
    O(mesh.yaw, "auto", 0, 0, NULL,
      "degrees by which the given mesh is turned about +y (+z towards +x) for the model, results are turned back; auto: to where a model that knows one view knows it"),
    O(mesh.points, "0", 0, 1e6, NULL, "surface points that are encoded, 0 = as the model says"),
    O(mesh.max_faces, "40000", 0, 1e7, NULL, "most faces of a mesh made from the image, reached by a coarser grid, 0 = any number"),
    O(mesh.floaters, "0.02", 0, 1, NULL, "parts with a smaller share of the largest part's faces are dropped from a made mesh, 0 = none"),

    O(denoise.steps, "0", 0, 1000, NULL, "denoising steps of a window, 0 = as the model says"),
    O(denoise.anchor_steps, "0", 0, 1000, NULL, "denoising steps of image-to-3D, 0 = as the model says"),
    O(denoise.anchor_draws, "0", 0, 64, NULL, "draws whose fields are averaged to the mesh made from the image, 0 = as the model says"),
    O(denoise.anchor_frames, "0", 0, 64, NULL, "frames of the first window that are generated together with that mesh and dropped again, 1 = the anchor frame alone, 0 = as the model says"),
    O(denoise.shift, "0", 0, 100, NULL, "shift of the time schedule, 0 = as the model says"),
    O(denoise.guidance, "-1", -1, 100, NULL, "scale of the classifier-free guidance, 0 = one branch only, -1 = as the model says"),
    O(denoise.noise, "model", 0, 0, CH4_NOISE_CHOICES,
      "starting noise of the frames: independent, the same for all, or one set assigned to the anchor's tokens"),
    O(denoise.weights, "stored", 0, 0, CH4_WEIGHTS_CHOICES,
      "matrices of the denoisers in memory: as the files have them, widened to 32 bits, or 32-bit ones rounded to 16"),
    O(denoise.offload, "none", 0, 0, CH4_OFFLOAD_CHOICES, "denoisers larger than the memory: layers = one layer at a time is read from the file, slower, same results"),

    O(attention.store, "topk", 0, 0, CH4_ATTENTION_STORE_CHOICES, "keep the strongest entries of each row, or all"),
    O(attention.k, "64", 1, 4096, NULL, "entries kept of each row"),
    O(attention.layers, "[]", 0, 127, NULL, "layers that are read, [] = as the model says (paper: unstated)"),
    O(attention.heads, "[]", 0, 127, NULL, "head of the layer in the same place of attention.layers, [] = as the model says, or all heads of the layers given"),
    O(attention.steps, "[]", -1000, 999, NULL, "denoising steps that are read, -1 = the last, [] = as the model says"),
    O(attention.branch, "model", 0, 0, CH4_BRANCH_CHOICES, "guidance branch that is read"),
    O(attention.direction, "model", 0, 0, CH4_DIRECTION_CHOICES,
      "whose rows: anchor tokens reading the frame (the paper's letter), or frame tokens reading the anchor, transposed, or the mean of both"),
    O(attention.normalize, "model", 0, 0, CH4_ROW_NORM_CHOICES,
      "rows of a frame's block sum to 1: never, in each head before averaging, or after averaging"),
    O(attention.sinkhorn, "-1", -1, 100, NULL, "row and column normalisation passes before Eq. 2, -1 = as the model says"),
    O(attention.power, "0", 0, 10, NULL, "exponent of the entries before normalisation, 0 = as the model says"),

    O(surface.method, "follow", 0, 0, CH4_SURFACE_METHOD_CHOICES,
      "how a mesh is made from the anchor's latent: followed from a coarse grid (chain.anchor_resolution), or as ActionMesh (flash) or TripoSG (hierarchical) do it"),
    O(surface.compat, "fixed", 0, 0, CH4_SURFACE_COMPAT_CHOICES,
      "flash and hierarchical: without the reference's defects, or with them, for results that can be compared with its own (docs/model.md)"),
    O(surface.depth, "9", 4, 10, NULL, "flash and hierarchical: octree depth, 2^depth nominal cells per axis; lowered until mesh.max_faces is met"),

    O(reinforce.mode, "off", 0, 0, CH4_REINFORCE_MODE_CHOICES,
      "reliable matches are reinforced in the attention (Eq. 5): not at all, those of the window's own first steps, those of the window before, or both"),
    O(reinforce.direction, "both", 0, 0, CH4_REINFORCE_DIRECTION_CHOICES, "whose rows: anchor tokens looking at a frame (the paper's letter), frame tokens looking at the anchor, or both"),
    O(reinforce.gain, "4", 1e-6, 1e6, NULL, "the most reliable pair of tokens weighs 1 + this times as much, others by their confidence"),
    O(reinforce.layers, "[]", 0, 127, NULL, "layers that are reinforced, [] = those that are read"),
    O(reinforce.share, "0.5", 1e-6, 1, NULL, "share of a frame's matches that counts as reliable, those of the highest confidence"),
    O(reinforce.after, "2", 1, 999, NULL, "steps before the chain is asked, where the window's own matches are reinforced"),
    O(reinforce.landmarks, "256", 1, 65536, NULL, "points on the anchor's surface that the chain is asked about there"),

    O(chain.resolution, "0", 0, 512, NULL, "cells per axis of the surfaces that give candidate points, 0 = by the number of tokens (32, 64 or 126), else at least 8"),
    O(chain.anchor_resolution, "96", 8, 512, NULL, "cells per axis of a mesh made from the anchor's latent"),
    O(chain.band, "0.1", 0, 100, NULL, "cells of a coarse grid whose field is closer to zero than this are refined whole, 0 = off"),
    O(chain.candidates, "4096", 16, 65536, NULL, "most candidate points of a frame; more are thinned out evenly at random"),
    O(chain.candidates_min, "1024", 0, 65536, NULL, "fewest candidate points; missing ones are sampled on the triangles"),
    O(chain.topk, "0", 0, 4096, NULL, "candidates that are blended in Eq. 4, 0 = as the model says"),
    O(chain.temperature_mode, "relative", 0, 0, CH4_TEMPERATURE_CHOICES,
      "temperature as a share of each landmark's best score, or in units of the score"),
    O(chain.temperature, "0", 0, 1e3, NULL, "temperature of the softmax of Eq. 4, 0 = as the model says"),
    O(chain.endpoint, "model", 0, 0, CH4_ENDPOINT_CHOICES, "candidate rows of Eq. 3: as they are, of unit length (vertex rows of Eq. 7 too), or divided by column sums"),
    O(chain.rows, "auto", 0, 0, CH4_CHAIN_ROWS_CHOICES,
      "tokens that the landmarks of a later window belong to: asked of the mesh as it was handed over, or those of the clip's first window; auto = first where all "
      "frames start from the same noise, so that tokens keep their number"),
    O(chain.landmarks, "1000", 0, 65536, NULL, "landmarks on the anchor mesh, 0 = every vertex"),
    O(chain.curvature_boost, "2", 0, 100, NULL, "how much curvature attracts landmarks"),
    O(chain.score, "max", 0, 0, CH4_SCORE_CHOICES, "confidence of a landmark: best score, or that times the attention mass on the frame"),
    O(chain.patch_norm, "patchnorm", 0, 0, CH4_PATCH_NORM_CHOICES, "image patches of Eq. 6 and 7 as they are, or each a distribution over tokens"),
    O(chain.patch_temperature, "0.1", 1e-9, 1e3, NULL, "temperature of the soft-arg-max over patches, as a share of the best score"),
    O(chain.patch_radius, "1", 0, 64, NULL, "patches around the best one that enter the soft-arg-max"),
    O(chain.surfaces, "false", 0, 0, NULL, "also keep each frame's decoded surface: surfaces/mesh_NN.glb among the results"),

    O(animate.method, "chain", 0, 0, CH4_ANIMATE_METHOD_CHOICES,
      "what moves the mesh: the landmarks of the attention chain, or the model's temporal autoencoder (ActionMesh stage II), where it has one"),
    O(animate.normals, "outward", 0, 0, CH4_NORMALS_CHOICES, "learned: where the normals point that the temporal autoencoder is given"),
    O(animate.smooth_sigma, "-1", -1, 1000, NULL, "temporal smoothing of landmark paths, frames, 0 = off, negative = as the model says"),
    O(animate.final_sigma, "-1", -1, 1000, NULL, "temporal smoothing of all vertices, frames, 0 = off, negative = as the model says"),
    O(animate.neighbors, "120", 1, 4096, NULL, "landmarks that move one vertex"),
    O(animate.beta, "0", 0, 100, NULL, "width of the weights in units of the mean landmark spacing, 0 = as the model says"),
    O(animate.outlier_factor, "5", 1, 1e6, NULL, "a landmark that moves more than this times the frame's median is an outlier"),
    O(animate.outlier_floor, "0.05", 0, 1, NULL, "least value of that median, as a share of the object's diagonal"),
    O(animate.outlier_absolute, "0.5", 0, 10, NULL, "largest believable displacement, as a share of the object's diagonal"),
    O(animate.min_valid, "0.95", 0, 1, NULL, "share of frames in which a landmark must be valid to be used"),
    O(animate.confidence, "binary", 0, 0, CH4_CONFIDENCE_CHOICES, "weight of a valid sample in the smoothing: 1, or its score"),

    O(pose.focal, "2.1875", 0.1, 100, NULL, "focal length in units of half the side of the square frame"),
    O(pose.threshold_px, "8", 0.1, 1000, NULL, "largest reprojection error of an inlier, in sixteenths of an image patch (pixels at 256 px, 16 patches)"),
    O(pose.iterations, "400", 1, 1e6, NULL, "most RANSAC rounds"),
    O(pose.confidence, "0.999", 0.5, 0.999999, NULL, "RANSAC stops when it is this sure"),
    O(pose.track_stride, "8", 1, 512, NULL, "distance between tracked pixels of the anchor frame"),
    O(pose.cauchy_px, "4", 0, 1000, NULL, "scale of the robust weights of the last refinement, same unit, 0 = off"),
    O(pose.mode, "anchor", 0, 0, CH4_POSE_MODE_CHOICES, "the anchor's camera for all frames (the motion is in the mesh), or each frame solved for itself"),
    O(pose.outline, "true", 0, 0, NULL, "find the anchor's camera from outline and matches together where matches are few"),
    O(pose.view_weight, "0.2", 0, 10, NULL, "outline: what a camera 30 degrees or more off the model's own view must gain in overlap, where the model has one"),

    O(sink.fps, "0", 0, 1000, NULL, "frames per second of the animation, 0 = the video's own times"),
    O(sink.glb, "true", 0, 0, NULL, "write mesh.glb"),
    O(sink.keep, "false", 0, 0, NULL, "keep the attention files of a finished clip"),

    O(pipeline.windows, "4", 1, 1024, NULL, "windows of the whole graph that may be in flight"),
    O(pipeline.credit_bytes, "268435456", 1 << 20, 1e12, NULL, "bytes that one stage may have waiting"),
    O(pipeline.heartbeat_s, "1", 0.05, 60, NULL, "seconds between signs of life"),
    O(pipeline.ready_s, "60", 1, 3600, NULL, "seconds in which a process must be ready"),
    O(pipeline.stall_s, "300", 1, 86400, NULL, "seconds without progress after which a process is restarted"),
    O(pipeline.drain_s, "30", 1, 3600, NULL, "seconds given to finish when the run is stopped"),
    O(pipeline.retries, "3", 0, 100, NULL, "times that a failed window is tried again before it is set aside"),

    O(log.level, "info", 0, 0, CH4_CONFIG_LEVEL_CHOICES, "least level that is logged"),
};

const ch4_schema ch4_config_schema = {
    .title = "chain4d pipeline options", .opts = options, .n_opts = sizeof options / sizeof options[0], .size = sizeof(ch4_config)};

ch4_status ch4_config_defaults(ch4_config *out, ch4_err *err)
{
    return ch4_schema_defaults(&ch4_config_schema, out, err);
}

ch4_status ch4_config_anchor_frame(int64_t *frame, const ch4_config *config, ch4_err *err)
{
    const char *text = config->anchor.frame;
    char *end;
    *frame = 0;
    if (strcmp(text, "first") == 0)
        return CH4_OK;
    if (strcmp(text, "auto") == 0) {
        *frame = CH4_ANCHOR_AUTO;
        return CH4_OK;
    }
    *frame = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || *frame > 1000000)
        return ch4_err_set(err, CH4_ECONFIG, "anchor.frame: '%s' is neither first, auto nor the number of a frame", text);
    return CH4_OK;
}

ch4_status ch4_config_handover(int64_t *every, const ch4_config *config, ch4_err *err)
{
    static const char reencode[] = "reencode";
    const char *text = config->anchor.handover, *rest = text + sizeof reencode - 1;
    char *end;
    *every = 0;
    if (strcmp(text, "latent") == 0)
        return CH4_OK;
    *every = 1;
    if (strcmp(text, reencode) == 0)
        return CH4_OK;
    if (strncmp(text, reencode, sizeof reencode - 1) == 0 && rest[0] == ':' && rest[1] >= '1' && rest[1] <= '9') {
        *every = strtoll(rest + 1, &end, 10);
        if (!*end && *every <= 1000000)
            return CH4_OK;
    }
    return ch4_err_set(err, CH4_ECONFIG, "anchor.handover: '%s' is neither latent, reencode nor reencode:R", text);
}

ch4_status ch4_config_mesh_yaw(double *yaw, bool *searched, const ch4_config *config, ch4_err *err)
{
    const char *text = config->mesh.yaw;
    char *end;
    *yaw = 0;
    *searched = strcmp(text, "auto") == 0;
    if (*searched)
        return CH4_OK;
    *yaw = strtod(text, &end);
    if (!text[0] || *end || !(*yaw >= -360 && *yaw <= 360))
        return ch4_err_set(err, CH4_ECONFIG, "mesh.yaw: '%s' is neither auto nor a number of degrees from -360 to 360", text);
    return CH4_OK;
}

static void check_between_options(const ch4_config *c, ch4_problems *p)
{
    int64_t anchor, every;
    ch4_err why;
    if (ch4_config_anchor_frame(&anchor, c, &why))
        ch4_problems_add(p, "%s", why.msg);
    double yaw;
    bool searched;
    if (ch4_config_mesh_yaw(&yaw, &searched, c, &why))
        ch4_problems_add(p, "%s", why.msg);
    if (ch4_config_handover(&every, c, &why))
        ch4_problems_add(p, "%s", why.msg);
    if (c->decode.slide > c->decode.window)
        ch4_problems_add(p, "decode.slide: %lld is more than decode.window (%lld)", (long long)c->decode.slide,
                         (long long)c->decode.window);
    if (c->decode.foreground == CH4_FOREGROUND_MASK && !c->decode.mask[0])
        ch4_problems_add(p, "decode.foreground: mask needs decode.mask");
    if (c->surface.compat == CH4_SURFACE_REFERENCE && c->surface.method == CH4_SURFACE_FOLLOW)
        ch4_problems_add(p, "surface.compat: reference needs surface.method flash (as ActionMesh) or hierarchical (as TripoSG)");
    if (c->chain.resolution > 0 && c->chain.resolution < 8)
        ch4_problems_add(p, "chain.resolution: %lld is neither 0 nor at least 8", (long long)c->chain.resolution);
    if (c->chain.candidates_min > c->chain.candidates)
        ch4_problems_add(p, "chain.candidates_min: %lld is more than chain.candidates (%lld)", (long long)c->chain.candidates_min,
                         (long long)c->chain.candidates);
}

ch4_status ch4_config_load(ch4_config *out, const char *path, const char *const *sets, int64_t n_sets, ch4_problems *problems,
                           ch4_err *err)
{
    ch4_problems own = {0};
    ch4_problems *p = problems ? problems : &own;
    ch4_err first = {0}, other;
    ch4_status status = ch4_config_defaults(out, err);
    if (status)
        return status;
    if (path)
        status = ch4_schema_load(&ch4_config_schema, out, path, p, &first);
    // A pipeline file that cannot be read is a mistake of the command, not of the input or the machine.
    if (status && status != CH4_ECONFIG && status != CH4_ENOMEM) {
        other = first;
        status = ch4_err_set(&first, CH4_ECONFIG, "%s; the pipeline file must be a readable YAML file", other.msg);
    }
    for (int64_t i = 0; i < n_sets && (status == CH4_OK || status == CH4_ECONFIG); i++) {
        ch4_status s = ch4_schema_set(&ch4_config_schema, out, sets[i], p, status ? &other : &first);
        status = status && s != CH4_ENOMEM ? status : s;
    }
    if (status == CH4_OK) {
        check_between_options(out, p);
        if (p->count > 0)
            status = ch4_err_set(&first, CH4_ECONFIG, "%.*s", p->text ? (int)strcspn(p->text, "\n") : 0, p->text ? p->text : "");
    }
    ch4_problems_free(&own);
    if (status) {
        ch4_err_set(err, status, "%s", first.msg);
        ch4_config_fini(out);
    }
    return status;
}

ch4_status ch4_config_save(const ch4_config *config, const char *path, ch4_err *err)
{
    return ch4_schema_save(&ch4_config_schema, config, path, err);
}

void ch4_config_fini(ch4_config *config)
{
    ch4_schema_fini(&ch4_config_schema, config);
}

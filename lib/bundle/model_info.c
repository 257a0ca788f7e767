#include "bundle/model_info.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define O(member, def, min, max, choices, help) CH4_OPT(ch4_model_info, member, def, min, max, choices, help)

static const ch4_opt fields[] = {
    O(name, "", 0, 0, NULL, "name of the model"),
    O(networks.denoiser.path, "denoiser", 0, 0, NULL, "folder of the temporal denoiser"),
    O(networks.vae.path, "vae", 0, 0, NULL, "folder of the shape autoencoder"),
    O(networks.vae.points, "16384", 1, 1e7, NULL, "surface points that are encoded"),
    O(networks.vae.preselect, "4", 0, 1000, NULL, "points drawn per token before farthest point sampling, 0 = all points"),
    O(networks.image_encoder.path, "image_encoder", 0, 0, NULL, "folder of the image encoder"),
    O(networks.transformer.path, "transformer", 0, 0, NULL, "folder of the image-to-3D transformer, where there is one"),
    O(networks.autoencoder.path, "", 0, 0, NULL, "folder of the temporal autoencoder (stage II); \"\" = none"),
    O(networks.matting.path, "", 0, 0, NULL, "folder of the background remover (RMBG-1.4); \"\" = none"),
    O(networks.matting.side, "1024", 32, 4096, NULL, "side of the square that the background remover sees"),
    O(networks.image_to_3d, "denoiser", 0, 0, "denoiser|triposg", "what makes the anchor from an image: the denoiser with one frame, or its own transformer"),
    O(noise, "independent", 0, 0, "independent|shared|matched",
      "noise of the frames: each its own, one set for all, or one set assigned to the anchor's tokens"),
    O(noise_anchor, "0", 0, 0.95, NULL, "how far matched noise is pulled to the anchor's tokens"),
    O(steps, "30", 1, 1000, NULL, "denoising steps of a window"),
    O(shift, "3", 1e-3, 100, NULL, "shift of the time schedule"),
    O(guidance, "7.5", 0, 100, NULL, "scale of the classifier-free guidance, 0 or 1 = one branch only"),
    O(anchor.draws, "1", 1, 64, NULL, "draws of image-to-3D whose fields are averaged"),
    O(anchor.frames, "1", 1, 64, NULL, "frames that image-to-3D generates together"),
    O(anchor.steps, "0", 0, 1000, NULL, "steps of image-to-3D, 0 = as steps"),
    O(anchor.shift, "0", 0, 100, NULL, "shift of image-to-3D, 0 = as shift"),
    O(anchor.guidance, "0", 0, 100, NULL, "guidance of image-to-3D, 0 = as guidance"),
    O(attention.layers, "[8, 9, 10, 11, 12]", 0, 127, NULL, "layers whose attention is read"),
    O(attention.heads, "[]", 0, 127, NULL, "head of the layer in the same place, [] = all heads"),
    O(attention.step, "last", 0, 0, NULL, "step that is read: last, or its number"),
    O(attention.branch, "conditional", 0, 0, "conditional|unconditional|mean", "guidance branch that is read"),
    O(attention.direction, "anchor_to_frame", 0, 0, "anchor_to_frame|frame_to_anchor|both", "whose queries: the anchor's (the paper's letter), the frame's, or the mean of both"),
    O(attention.normalize, "mean", 0, 0, "raw|head|mean", "when rows are divided by their sum"),
    O(attention.sinkhorn, "0", 0, 100, NULL, "row and column normalisation passes before Eq. 2"),
    O(attention.power, "1", 1e-3, 10, NULL, "exponent of the entries before normalisation"),
    O(chain.unit_norm, "true", 0, 0, NULL, "candidate rows scaled to unit length"),
    O(chain.topk, "32", 1, 4096, NULL, "candidates that are blended in Eq. 4"),
    O(chain.temperature, "0.1", 1e-9, 1e3, NULL, "temperature of Eq. 4, relative to the best score"),
    O(animate.smooth_sigma, "1.5", 0, 1000, NULL, "temporal smoothing of landmark paths, frames, 0 = off"),
    O(animate.final_sigma, "1", 0, 1000, NULL, "temporal smoothing of all vertices, frames, 0 = off"),
    O(animate.beta, "1.5", 0.01, 100, NULL, "width of the weights in units of the mean landmark spacing"),
    O(field.inside, "auto", 0, 0, "auto|positive|negative", "sign of the field inside the object"),
    O(view.known, "false", 0, 0, NULL, "all pictures of the training were taken from one direction, so what the model makes is seen from there"),
    O(view.azimuth, "0", -360, 360, NULL, "that direction, degrees: 0 = in front (+z), 90 = at the side (+x)"),
    O(view.elevation, "0", -90, 90, NULL, "and above the horizon"),
    O(supervised_heads.layers, "[]", 0, 127, NULL, "layers of the heads that saw an alignment loss in training"),
    O(supervised_heads.heads, "[]", 0, 127, NULL, "these heads"),
    O(familiar.path, "", 0, 0, NULL, "file of what the training's image features look like; \"\" = not known"),
    O(training.note, "", 0, 0, NULL, "how the weights were made"),
    O(training.plans, "[]", 0, 0, NULL, "body plans of the training creatures"),
    O(training.seeds.train, "", 0, 0, NULL, "seeds used in training"),
    O(training.seeds.validation, "", 0, 0, NULL, "seeds used to choose"),
    O(training.seeds.test, "", 0, 0, NULL, "seeds never used"),
    O(training.seed, "0", 0, 4e9, NULL, "seed of the training itself"),
    O(training.weights_sha256, "", 0, 0, NULL, "checksum of the weights"),
};

const ch4_schema ch4_model_info_schema = {.title = "chain4d model", .opts = fields, .n_opts = sizeof fields / sizeof *fields, .size = sizeof(ch4_model_info)};

ch4_status ch4_model_info_load(ch4_model_info *out, const char *path, ch4_problems *problems, ch4_err *err)
{
    ch4_status st = ch4_schema_defaults(&ch4_model_info_schema, out, err);
    if (!st)
        st = ch4_schema_load(&ch4_model_info_schema, out, path, problems, err);
    if (!st && out->attention.heads.n && out->attention.heads.n != out->attention.layers.n)
        st = ch4_err_set(err, CH4_ECONFIG, "%s: attention.heads: %" PRId64 " heads for %" PRId64 " layers; one each, or none for all heads", path,
                         out->attention.heads.n, out->attention.layers.n);
    if (!st && out->attention.layers.n == 0)
        st = ch4_err_set(err, CH4_ECONFIG, "%s: attention.layers: at least one layer wanted", path);
    if (st)
        ch4_model_info_fini(out);
    return st;
}

void ch4_model_info_fini(ch4_model_info *info)
{
    ch4_schema_fini(&ch4_model_info_schema, info);
}

ch4_status ch4_model_info_step(int64_t *out, const ch4_model_info *info, int64_t steps, ch4_err *err)
{
    char *end;
    int64_t step = strcmp(info->attention.step, "last") == 0 ? steps - 1 : strtoll(info->attention.step, &end, 10);
    if (strcmp(info->attention.step, "last") != 0 && (!info->attention.step[0] || *end))
        return ch4_err_set(err, CH4_ECONFIG, "model.yaml: attention.step: \"%s\" is neither last nor a number", info->attention.step);
    if (step < 0)
        step += steps;
    if (step < 0 || step >= steps)
        return ch4_err_set(err, CH4_ECONFIG, "model.yaml: attention.step: there is no step %s of %" PRId64, info->attention.step, steps);
    *out = step;
    return CH4_OK;
}

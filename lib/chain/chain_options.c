#include "chain/chain_options.h"

static ch4_map_reading reading_of(const ch4_config *c, const ch4_model_info *m)
{
    ch4_map_reading r = {.normalize = m->attention.normalize != CH4_MODEL_ROW_RAW, .power = m->attention.power, .sinkhorn = m->attention.sinkhorn};
    if (c->attention.normalize != CH4_ROW_NORM_MODEL)
        r.normalize = c->attention.normalize != CH4_ROW_NORM_RAW;
    if (c->attention.power > 0)
        r.power = c->attention.power;
    if (c->attention.sinkhorn >= 0)
        r.sinkhorn = c->attention.sinkhorn;
    return r;
}

static ch4_match_rows rows_of(const ch4_config *c, const ch4_model_info *m)
{
    switch (c->chain.endpoint) {
    case CH4_ENDPOINT_PLAIN: return CH4_MATCH_PLAIN;
    case CH4_ENDPOINT_UNIT: return CH4_MATCH_UNIT;
    case CH4_ENDPOINT_COLUMN: return CH4_MATCH_COLUMN;
    case CH4_ENDPOINT_MODEL: break;
    }
    return m->chain.unit_norm ? CH4_MATCH_UNIT : CH4_MATCH_PLAIN;
}

static ch4_octree_options octree_of(const ch4_config *c)
{
    ch4_octree_options o = ch4_octree_defaults();
    o.method = c->surface.method == CH4_SURFACE_HIERARCHICAL ? CH4_OCTREE_HIERARCHICAL : CH4_OCTREE_FLASH;
    o.depth = (int)c->surface.depth;
    o.reference = c->surface.compat == CH4_SURFACE_REFERENCE;
    return o;
}

ch4_chain_options ch4_chain_resolve(const ch4_config *c, const ch4_model_info *m)
{
    /* A temperature that the model gives is relative to the best score. */
    ch4_blend blend = {true, m->chain.temperature};
    if (c->chain.temperature > 0)
        blend = (ch4_blend){c->chain.temperature_mode == CH4_TEMPERATURE_RELATIVE, c->chain.temperature};
    return (ch4_chain_options){
        .cells = c->chain.resolution,
        .anchor_cells = c->chain.anchor_resolution,
        .band = c->chain.band,
        .octree = c->surface.method != CH4_SURFACE_FOLLOW,
        .deep = octree_of(c),
        .inside = m->field.inside == CH4_MODEL_INSIDE_AUTO ? 0 : m->field.inside == CH4_MODEL_INSIDE_POSITIVE ? 1 : -1,
        .most = c->chain.candidates,
        .least = c->chain.candidates_min,
        .floaters = c->mesh.floaters,
        .max_faces = c->mesh.max_faces,
        .landmarks = c->chain.landmarks,
        .curvature_boost = c->chain.curvature_boost,
        .reading = reading_of(c, m),
        .rows = rows_of(c, m),
        .k = c->chain.topk > 0 ? c->chain.topk : m->chain.topk,
        .blend = blend,
        .score_mass = c->chain.score == CH4_SCORE_MAX_MASS,
        .patch_normalize = c->chain.patch_norm == CH4_PATCH_NORM,
        .patch_temperature = c->chain.patch_temperature,
        .patch_radius = c->chain.patch_radius,
        .keep_surfaces = c->chain.surfaces,
    };
}

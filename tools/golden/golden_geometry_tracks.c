/* Kind smoothing: validity, kept landmarks, smoothed tracks; two cases of it are the smoothing of a whole field and the normalisation
 * of chain scores. */
#include <math.h>

#include "golden_geometry.h"
#include "stages/animate/landmark_tracks.h"

static ch4_status run_scores(ch4_golden_case *c, const char *in_name, const char *out_name, double *median, ch4_err *err)
{
    ch4_tensor score;
    double *confidence;
    int64_t a;
    ch4_status st = ch4_golden_tensor(c, &score, CH4_DTYPE_F32, err, "%s", in_name);
    if (st == CH4_OK && score.rank != 2)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: %s is not [F,K]", c->label, in_name);
    if (st == CH4_OK)
        st = ch4_golden_int(c, &a, "anchor_frame", err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &confidence, (size_t)ch4_tensor_count(&score), sizeof *confidence, err);
    if (st == CH4_OK)
        st = ch4_tracks_normalise_scores(confidence, median, score.data, score.shape[0], score.shape[1], a, err);
    if (st == CH4_OK)
        ch4_golden_check_close(c, confidence, ch4_tensor_count(&score), ch4_golden_real_or(c, "tolerance.confidence_abs", 1e-6), 0, "%s", out_name);
    return st;
}

static ch4_status check_scores(ch4_golden_case *c, ch4_err *err)
{
    double median, zero, want;
    ch4_status st = run_scores(c, "scores", "confidence", &median, err);
    if (st == CH4_OK && ch4_golden_has(c, "scores_zero"))
        st = run_scores(c, "scores_zero", "confidence_zero", &zero, err);
    if (st == CH4_OK)
        st = ch4_golden_real(c, &want, "median", err);
    if (st == CH4_OK)
        ch4_golden_check_values(c, &median, &want, 1, 0, 1e-6, "median");
    return st;
}

typedef struct track_case {
    const float *anchor, *raw;
    int64_t F, K, a;
    ch4_smooth_options smooth;
} track_case;

static ch4_status load(ch4_golden_case *c, track_case *x, ch4_err *err)
{
    ch4_tensor anchor, raw;
    ch4_status st = ch4_golden_tensor(c, &anchor, CH4_DTYPE_F32, err, "anchor");
    if (st == CH4_OK)
        st = ch4_golden_tensor(c, &raw, CH4_DTYPE_F32, err, "raw");
    if (st == CH4_OK && (raw.rank != 3 || anchor.rank != 2 || raw.shape[1] != anchor.shape[0] || raw.shape[2] != 3 || anchor.shape[1] != 3))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: anchor is not [K,3] or raw not [F,K,3]", c->label);
    if (st == CH4_OK)
        st = ch4_golden_int(c, &x->a, "anchor_frame", err);
    if (st == CH4_OK)
        st = ch4_golden_real(c, &x->smooth.sigma, "sigma", err);
    if (st != CH4_OK)
        return st;
    x->anchor = anchor.data;
    x->raw = raw.data;
    x->F = raw.shape[0];
    x->K = raw.shape[1];
    x->smooth.eps = ch4_golden_real_or(c, "eps", 1e-8);
    x->smooth.hold = ch4_golden_real_or(c, "s_min", 1e-4);
    if (x->a < 0 || x->a >= x->F)
        return ch4_err_set(err, CH4_EFORMAT, "%s: anchor frame outside the frames", c->label);
    return CH4_OK;
}

/* No rejection, all confidences one: through the gains that the stage applies to all vertices. */
static ch4_status check_field(ch4_golden_case *c, const track_case *x, ch4_err *err)
{
    double *gain, *got;
    ch4_status st = ch4_golden_alloc(c, &gain, (size_t)(x->F * x->F), sizeof *gain, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &got, (size_t)(x->F * x->K) * 3, sizeof *got, err);
    if (st != CH4_OK)
        return st;
    ch4_smooth_gain(gain, x->F, x->a, &x->smooth);
    for (int64_t f = 0; f < x->F; f++)
        for (int64_t i = 0; i < 3 * x->K; i++) {
            double u = 0;
            for (int64_t j = 0; j < x->F; j++)
                u += gain[f * x->F + j] * ((double)x->raw[j * 3 * x->K + i] - (double)x->anchor[i]);
            got[f * 3 * x->K + i] = (double)x->anchor[i] + u;
        }
    ch4_golden_check_close(c, got, x->F * x->K * 3, ch4_golden_real_or(c, "tolerance.smoothed_abs", 1e-6), 0, "smoothed");
    return CH4_OK;
}

static ch4_status read_confidence(ch4_golden_case *c, double **out, int64_t count, ch4_err *err)
{
    int64_t n;
    *out = NULL;
    if (!ch4_golden_has(c, "confidence"))
        return CH4_OK;
    ch4_status st = ch4_golden_f64(c, out, &n, "confidence", err);
    if (st == CH4_OK && n != count)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: confidence is not [F,K]", c->label);
    return st;
}

static ch4_status check_tracks(ch4_golden_case *c, const track_case *x, ch4_err *err)
{
    ch4_track_options opt = ch4_track_defaults();
    opt.outlier_factor = ch4_golden_real_or(c, "rel", opt.outlier_factor);
    opt.outlier_absolute = ch4_golden_real_or(c, "abs_frac", opt.outlier_absolute);
    opt.outlier_floor = ch4_golden_real_or(c, "floor_frac", opt.outlier_floor);
    opt.min_valid = ch4_golden_real_or(c, "valid_frac", opt.min_valid);
    opt.min_keep = ch4_golden_real_or(c, "min_keep", opt.min_keep);
    int64_t cells = x->F * x->K, *index, n_kept = 0, n_invalid = 0;
    uint8_t *valid, *kept;
    double *median, *threshold, *weight, *smoothed, *confidence, D;
    bool relaxed;
    ch4_status st = ch4_golden_real(c, &D, "diagonal", err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &valid, (size_t)cells, 1, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &kept, (size_t)x->K, 1, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &median, (size_t)x->F, sizeof *median, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &threshold, (size_t)x->F, sizeof *threshold, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &weight, (size_t)cells, sizeof *weight, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &smoothed, (size_t)cells * 3, sizeof *smoothed, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &index, (size_t)cells, sizeof *index, err);
    if (st == CH4_OK)
        st = read_confidence(c, &confidence, cells, err);
    if (st == CH4_OK)
        st = ch4_tracks_validate(valid, median, threshold, x->anchor, x->raw, x->F, x->K, x->a, D, &opt, err);
    if (st == CH4_OK)
        st = ch4_tracks_select(kept, &relaxed, valid, x->F, x->K, &opt, err);
    if (st != CH4_OK)
        return st;
    ch4_tracks_weigh(weight, valid, confidence, x->F, x->K);
    if ((st = ch4_tracks_smooth(smoothed, x->anchor, x->raw, weight, x->F, x->K, x->a, &x->smooth, err)) != CH4_OK)
        return st;
    double rel = ch4_golden_real_or(c, "tolerance.median_rel", 1e-6);
    ch4_golden_check_close(c, median, x->F, 0, rel, "median");
    ch4_golden_check_close(c, threshold, x->F, 0, rel, "threshold");
    for (int64_t i = 0; i < cells; i++) {
        index[i] = valid[i];
        n_invalid += !valid[i];
    }
    ch4_golden_check_index(c, index, cells, NULL, 0, 0, "valid");
    for (int64_t l = 0; l < x->K; l++) {
        index[l] = kept[l];
        n_kept += kept[l];
    }
    ch4_golden_check_index(c, index, x->K, NULL, 0, 0, "kept");
    ch4_golden_check_close(c, smoothed, cells * 3, ch4_golden_real_or(c, "tolerance.smoothed_abs", 1e-6), 0, "smoothed");
    ch4_golden_check_true(c, relaxed == json_is_true(ch4_golden_json(c, "relaxed")), "relaxed");
    ch4_golden_check_true(c, n_kept == ch4_golden_int_or(c, "kept", -1), "kept.count");
    ch4_golden_check_true(c, n_invalid == ch4_golden_int_or(c, "invalid", -1), "invalid.count");
    return CH4_OK;
}

ch4_status ch4_golden_smoothing(ch4_golden_case *c, ch4_err *err)
{
    track_case x = {0};
    if (ch4_golden_has(c, "scores"))
        return check_scores(c, err);
    ch4_status st = load(c, &x, err);
    if (st != CH4_OK)
        return st;
    return ch4_golden_has(c, "valid") ? check_tracks(c, &x, err) : check_field(c, &x, err);
}

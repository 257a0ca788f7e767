#include "av_source.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "turn.h"

enum { MAX_SIDE = 32768 };

struct ch4_av {
    char *path;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream;
    AVPacket *packet;
    AVFrame *frame;          /* the current picture */
    struct SwsContext *sws;
    uint8_t *stored;         /* converted, before turning: rows of stored_step bytes */
    size_t stored_size;
    int64_t stored_step;
    ch4_turn turn;
    int frame_w, frame_h;    /* of every picture, as stored */
    bool flushing, ended, have_first;
    ch4_av_info info;
    ch4_av_stats stats;
};

/* --- opening ------------------------------------------------------------------------------------------------------------------ */

/* These would take any text for pictures, or open other files named inside the file. */
static bool format_is_refused(const char *name)
{
    static const char *const refused[] = {"tty", "concat", "hls", "dash", "ffmetadata", "sdp", "rtsp", "imf", "bintext", "bin", "xbin", "adf", "idf"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strcmp(name, refused[i]) == 0)
            return true;
    return false;
}

/* An mp4 or mov begins with a box of one of these names. One that begins so and yet cannot be read has lost its index, which lies at the end. */
static bool begins_as_mp4(const char *path)
{
    static const char names[] = "ftypmdatmoovwidefreeskip";
    char head[8];
    FILE *f = fopen(path, "rbe");
    bool is = false;
    if (f && fread(head, 1, sizeof head, f) == sizeof head)
        for (size_t i = 0; i + 4 < sizeof names; i += 4)
            is = is || memcmp(head + 4, names + i, 4) == 0;
    if (f)
        fclose(f);
    return is;
}

/* What the file system says first: its reasons are clearer than libav's. */
static ch4_status check_file(const char *path, ch4_err *err)
{
    struct stat sb;
    if (stat(path, &sb) != 0) {
        ch4_status st = errno == ENOENT || errno == ENOTDIR ? CH4_ENOENT : CH4_EFORMAT;
        return ch4_err_set(err, st, "%s: cannot be read: %s", path, strerror(errno));
    }
    if (!S_ISREG(sb.st_mode))
        return ch4_err_set(err, CH4_EFORMAT, "%s: not a file: give a video file or a folder of pictures", path);
    if (access(path, R_OK) != 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: cannot be read: %s", path, strerror(errno));
    if (sb.st_size == 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: the file is empty: give a video file or a folder of pictures", path);
    return CH4_OK;
}

static ch4_status open_format(ch4_av *av, ch4_err *err)
{
    size_t n = strlen(av->path) + sizeof "file:";
    char *url = malloc(n); /* with the protocol named, no path is taken for an address */
    if (!url)
        return ch4_err_set(err, CH4_ENOMEM, "%s", av->path);
    snprintf(url, n, "file:%s", av->path);
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    int rc = avformat_open_input(&av->format, url, NULL, &options);
    av_dict_free(&options);
    free(url);
    if (rc < 0 && begins_as_mp4(av->path))
        return ch4_err_set(err, CH4_EFORMAT, "%s: cut off or damaged: the index at the end of the mp4 is missing or broken (%s): copy or record it again",
                           av->path, av_err2str(rc));
    if (rc < 0 || format_is_refused(av->format->iformat->name))
        return ch4_err_set(err, CH4_EFORMAT, "%s: not a video or picture that can be read (%s): give a video file or a folder of pictures",
                           av->path, rc < 0 ? av_err2str(rc) : "text or a list of other files");
    rc = avformat_find_stream_info(av->format, NULL);
    if (rc < 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: damaged: %s", av->path, av_err2str(rc));
    return CH4_OK;
}

static AVStream *pick_stream(AVFormatContext *format)
{
    int best = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (best >= 0 && (format->streams[best]->disposition & AV_DISPOSITION_ATTACHED_PIC))
        best = -1; /* the cover of a piece of music */
    for (unsigned i = 0; i < format->nb_streams; i++)
        format->streams[i]->discard = (int)i == best ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    return best >= 0 ? format->streams[best] : NULL;
}

/* libavcodec's own VP8 and VP9 decoders drop the alpha that WebM carries beside the pictures; libvpx's give it. */
static const AVCodec *pick_decoder(const AVStream *stream)
{
    enum AVCodecID id = stream->codecpar->codec_id;
    const AVDictionaryEntry *alpha = av_dict_get(stream->metadata, "alpha_mode", NULL, 0);
    const AVCodec *codec = NULL;
    if (alpha && strcmp(alpha->value, "1") == 0)
        codec = id == AV_CODEC_ID_VP9 ? avcodec_find_decoder_by_name("libvpx-vp9") : id == AV_CODEC_ID_VP8 ? avcodec_find_decoder_by_name("libvpx") : NULL;
    return codec ? codec : avcodec_find_decoder(id);
}

static ch4_status open_codec(ch4_av *av, ch4_err *err)
{
    AVStream *s = av->stream = pick_stream(av->format);
    if (!s)
        return ch4_err_set(err, CH4_EFORMAT, "%s: no video stream in it: give a video file or a folder of pictures", av->path);
    const AVCodec *codec = pick_decoder(s);
    if (!codec)
        return ch4_err_set(err, CH4_EFORMAT, "%s: no decoder for its codec '%s': convert it, for example to H.264", av->path,
                           avcodec_get_name(s->codecpar->codec_id));
    av->codec = avcodec_alloc_context3(codec);
    av->packet = av_packet_alloc();
    av->frame = av_frame_alloc();
    if (!av->codec || !av->packet || !av->frame)
        return ch4_err_set(err, CH4_ENOMEM, "%s", av->path);
    int rc = avcodec_parameters_to_context(av->codec, s->codecpar);
    av->codec->thread_count = 1;
    av->codec->pkt_timebase = s->time_base;
    if (rc >= 0)
        rc = avcodec_open2(av->codec, codec, NULL);
    if (rc < 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: its decoder '%s' does not start: %s", av->path, codec->name, av_err2str(rc));
    return CH4_OK;
}

static ch4_turn find_turn(AVStream *stream, const AVFrame *frame)
{
    const AVFrameSideData *of_frame = av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
    if (of_frame && of_frame->size >= 9 * sizeof(int32_t))
        return ch4_turn_of_matrix((const int32_t *)(const void *)of_frame->data);
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    const AVPacketSideData *sd = av_packet_side_data_get(stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    const uint8_t *data = sd && sd->size >= 9 * sizeof(int32_t) ? sd->data : NULL;
#else
    size_t size = 0;
    const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    if (size < 9 * sizeof(int32_t))
        data = NULL;
#endif
    return data ? ch4_turn_of_matrix((const int32_t *)(const void *)data) : (ch4_turn){0};
}

static void state_length(ch4_av *av)
{
    const AVStream *s = av->stream;
    if (s->nb_frames > 0) {
        av->info.stated_frames = s->nb_frames;
        av->info.stated_exactly = true;
        return;
    }
    double seconds = s->duration > 0 ? (double)s->duration * av_q2d(s->time_base)
                     : av->format->duration > 0 && av->format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE
                         ? (double)av->format->duration / AV_TIME_BASE : 0;
    if (s->avg_frame_rate.num > 0 && s->avg_frame_rate.den > 0 && seconds < 1e7)
        av->info.stated_frames = (int64_t)(seconds * av_q2d(s->avg_frame_rate) + 0.5);
}

/* Size, turn and alpha are those of the first picture: containers state them less reliably. */
static ch4_status learn_from_first(ch4_av *av, ch4_err *err)
{
    const AVFrame *f = av->frame;
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(f->format);
    const AVCodecDescriptor *codec = avcodec_descriptor_get(av->codec->codec_id);
    AVRational aspect = av_guess_sample_aspect_ratio(av->format, av->stream, av->frame);
    int64_t w = f->width, h = f->height;
    if (aspect.num > 0 && aspect.den > 0 && aspect.num != aspect.den)
        w = (int64_t)((double)w * aspect.num / aspect.den + 0.5);
    if (!format || w < 1 || h < 1 || w > MAX_SIDE || h > MAX_SIDE)
        return ch4_err_set(err, CH4_EFORMAT, "%s: pictures of %lld x %lld: sides of 1 to %d are supported", av->path, (long long)w, (long long)h, MAX_SIDE);
    av->frame_w = f->width;
    av->frame_h = f->height;
    av->turn = find_turn(av->stream, f);
    av->info.width = av->turn.transpose ? h : w;
    av->info.height = av->turn.transpose ? w : h;
    av->info.alpha = format->flags & AV_PIX_FMT_FLAG_ALPHA;
    av->info.lossless = codec && (codec->props & AV_CODEC_PROP_LOSSLESS) && !(codec->props & AV_CODEC_PROP_LOSSY);
    av->info.codec = avcodec_get_name(av->codec->codec_id);
    state_length(av);
    return CH4_OK;
}

static ch4_status read_frame(ch4_av *av, bool *end, ch4_err *err);

ch4_status ch4_av_open(ch4_av **out, const char *path, ch4_err *err)
{
    *out = NULL;
    av_log_set_level(AV_LOG_QUIET); /* what matters comes back as a status; libav writes to stderr otherwise */
    ch4_status st = check_file(path, err);
    if (st != CH4_OK)
        return st;
    ch4_av *av;
    st = ch4_calloc(&av, 1, sizeof *av, path, err);
    if (st != CH4_OK)
        return st;
    av->path = strdup(path);
    st = av->path ? open_format(av, err) : ch4_err_set(err, CH4_ENOMEM, "%s", path);
    if (st == CH4_OK)
        st = open_codec(av, err);
    bool end = false;
    if (st == CH4_OK)
        st = read_frame(av, &end, err);
    if (st == CH4_OK && end)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: not a single frame could be decoded%s", path,
                         av->stats.damaged || av->stats.broken_off ? ": the file is damaged or cut off" : ": its video stream is empty");
    if (st == CH4_OK)
        st = learn_from_first(av, err);
    if (st != CH4_OK) {
        ch4_av_close(&av);
        return st;
    }
    av->have_first = true;
    *out = av;
    return CH4_OK;
}

void ch4_av_close(ch4_av **pav)
{
    ch4_av *av = *pav;
    if (!av)
        return;
    sws_freeContext(av->sws);
    av_frame_free(&av->frame);
    av_packet_free(&av->packet);
    avcodec_free_context(&av->codec);
    avformat_close_input(&av->format);
    free(av->stored);
    free(av->path);
    free(av);
    *pav = NULL;
}

const ch4_av_info *ch4_av_get_info(const ch4_av *av) { return &av->info; }
const ch4_av_stats *ch4_av_get_stats(const ch4_av *av) { return &av->stats; }

/* --- decoding ----------------------------------------------------------------------------------------------------------------- */

/* Hands one more packet to the decoder, or begins to flush it. */
static ch4_status feed(ch4_av *av, ch4_err *err)
{
    int rc = av_read_frame(av->format, av->packet);
    if (rc == AVERROR(ENOMEM))
        return ch4_err_set(err, CH4_ENOMEM, "%s", av->path);
    if (rc < 0) {
        av->stats.broken_off |= rc != AVERROR_EOF;
        av->flushing = true;
        avcodec_send_packet(av->codec, NULL);
        return CH4_OK;
    }
    if (av->packet->stream_index == av->stream->index) {
        rc = avcodec_send_packet(av->codec, av->packet);
        if (rc < 0 && rc != AVERROR(ENOMEM))
            av->stats.damaged++; /* one bad packet is no reason to give the clip up */
    }
    av_packet_unref(av->packet);
    return rc == AVERROR(ENOMEM) ? ch4_err_set(err, CH4_ENOMEM, "%s", av->path) : CH4_OK;
}

/* The next picture that decoded without damage, into av->frame. */
static ch4_status read_frame(ch4_av *av, bool *end, ch4_err *err)
{
    *end = false;
    for (;;) {
        int rc = avcodec_receive_frame(av->codec, av->frame);
        if (rc == 0) {
            if (!(av->frame->flags & AV_FRAME_FLAG_CORRUPT) && av->frame->decode_error_flags == 0) {
                av->stats.frames++;
                return CH4_OK;
            }
            av->stats.damaged++; /* concealed from its neighbours: such pixels would be taken for motion */
        } else if (rc == AVERROR_EOF || (av->flushing && rc == AVERROR(EAGAIN))) {
            *end = true;
            return CH4_OK;
        } else if (rc == AVERROR(EAGAIN)) {
            ch4_status st = feed(av, err);
            if (st != CH4_OK)
                return st;
        } else if (rc == AVERROR(ENOMEM)) {
            return ch4_err_set(err, CH4_ENOMEM, "%s", av->path);
        } else {
            av->stats.damaged++;
            if (av->flushing) {
                *end = true;
                return CH4_OK;
            }
        }
    }
}

ch4_status ch4_av_next(ch4_av *av, double *time, bool *end, ch4_err *err)
{
    *end = av->ended;
    if (av->ended)
        return CH4_OK;
    if (!av->have_first) {
        ch4_status st = read_frame(av, end, err);
        if (st != CH4_OK || *end) {
            av->ended = true;
            return st;
        }
    }
    av->have_first = false;
    if (av->frame->width != av->frame_w || av->frame->height != av->frame_h)
        return ch4_err_set(err, CH4_EFORMAT, "%s: frame %lld is %d x %d, the first one %d x %d: convert it to one size", av->path,
                           (long long)(av->stats.frames - 1), av->frame->width, av->frame->height, av->frame_w, av->frame_h);
    int64_t pts = av->frame->best_effort_timestamp;
    double start = av->format->start_time != AV_NOPTS_VALUE ? (double)av->format->start_time / AV_TIME_BASE : 0;
    *time = pts != AV_NOPTS_VALUE ? (double)pts * av_q2d(av->stream->time_base) - start : NAN;
    return CH4_OK;
}

/* --- conversion --------------------------------------------------------------------------------------------------------------- */

static int matrix_of(const AVFrame *f)
{
    switch (f->colorspace) {
    case AVCOL_SPC_BT709: return SWS_CS_ITU709;
    case AVCOL_SPC_BT470BG: case AVCOL_SPC_SMPTE170M: return SWS_CS_ITU601;
    case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
    case AVCOL_SPC_FCC: return SWS_CS_FCC;
    case AVCOL_SPC_BT2020_NCL: case AVCOL_SPC_BT2020_CL: return SWS_CS_BT2020;
    default: return f->height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601;
    }
}

/* Formats that are full range by their name; told by the range flag instead, swscale treats them alike. */
static enum AVPixelFormat without_j(enum AVPixelFormat format, bool *full)
{
    switch (format) {
    case AV_PIX_FMT_YUVJ420P: *full = true; return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P: *full = true; return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P: *full = true; return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P: *full = true; return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P: *full = true; return AV_PIX_FMT_YUV411P;
    default: return format;
    }
}

static ch4_status prepare_sws(ch4_av *av, int w, int h, ch4_err *err)
{
    const AVFrame *f = av->frame;
    bool full = f->color_range == AVCOL_RANGE_JPEG;
    enum AVPixelFormat format = without_j(f->format, &full);
    int flags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT;
    av->sws = sws_getCachedContext(av->sws, f->width, f->height, format, w, h, AV_PIX_FMT_RGBA, flags, NULL, NULL, NULL);
    if (!av->sws)
        return ch4_err_set(err, CH4_EFORMAT, "%s: its pixel format '%s' cannot be converted", av->path, av_get_pix_fmt_name(f->format));
    const int *matrix = sws_getCoefficients(matrix_of(f));
    sws_setColorspaceDetails(av->sws, matrix, full, matrix, 1, 0, 1 << 16, 1 << 16);
    return CH4_OK;
}

/* Room for the picture before turning; swscale may write past a row's end, so rows are padded. */
static ch4_status prepare_stored(ch4_av *av, int64_t w, int64_t h, ch4_err *err)
{
    av->stored_step = (4 * w + 127) / 64 * 64;
    size_t need;
    ch4_status st = ch4_size_bytes(&need, (int64_t[]){h + 1, av->stored_step}, 2, 1, err);
    if (st != CH4_OK || need <= av->stored_size)
        return st;
    free(av->stored);
    av->stored_size = 0;
    av->stored = aligned_alloc(64, (need + 63) / 64 * 64);
    if (!av->stored)
        return ch4_err_set(err, CH4_ENOMEM, "%s: a picture of %lld x %lld", av->path, (long long)w, (long long)h);
    av->stored_size = need;
    return CH4_OK;
}

ch4_status ch4_av_picture(ch4_av *av, uint8_t *rgba, int64_t width, int64_t height, ch4_err *err)
{
    if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE)
        return ch4_err_set(err, CH4_EINVAL, "%s: a picture of %lld x %lld was asked for", av->path, (long long)width, (long long)height);
    int64_t w = av->turn.transpose ? height : width, h = av->turn.transpose ? width : height;
    ch4_status st = prepare_sws(av, (int)w, (int)h, err);
    if (st == CH4_OK)
        st = prepare_stored(av, w, h, err);
    if (st != CH4_OK)
        return st;
    uint8_t *planes[4] = {av->stored};
    int steps[4] = {(int)av->stored_step};
    int rows = sws_scale(av->sws, (const uint8_t *const *)av->frame->data, av->frame->linesize, 0, av->frame->height, planes, steps);
    if (rows != h)
        return ch4_err_set(err, CH4_EFORMAT, "%s: converting a picture failed: %s", av->path, rows < 0 ? av_err2str(rows) : "too few rows");
    ch4_turn_apply(rgba, av->stored, w, h, av->stored_step, av->turn);
    return CH4_OK;
}

#include "tools/synth/picture_writer.h"

#include <assert.h>
#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <png.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

ch4_status ch4_synth_png_encode(ch4_synth_png *out, const uint8_t *pixel, int width, int height, int channels, ch4_err *err)
{
    assert(channels == 3 || channels == 4);
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)width, .height = (png_uint_32)height,
                       .format = channels == 4 ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB};
    char *data = NULL;
    size_t size = 0;
    ch4_synth_png_free(out);
    FILE *f = open_memstream(&data, &size);
    if (!f) return ch4_err_set(err, CH4_ENOMEM, "PNG");
    bool ok = png_image_write_to_stdio(&image, f, 0, pixel, 0, NULL);
    if (fclose(f) != 0 || !ok) {
        free(data);
        return ch4_err_set(err, CH4_ENOMEM, "PNG of %dx%d: %s", width, height, image.message);
    }
    *out = (ch4_synth_png){(uint8_t *)data, size};
    return CH4_OK;
}

ch4_status ch4_synth_png_write(const char *path, const ch4_synth_png *png, ch4_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    bool ok = fwrite(png->data, 1, png->size, f) == png->size && fflush(f) == 0;
    ch4_status st = ok ? CH4_OK : ch4_err_set_errno(err, errno, "%s", path);
    if (fclose(f) != 0 && !st) st = ch4_err_set_errno(err, errno, "%s", path);
    return st;
}

void ch4_synth_png_free(ch4_synth_png *png)
{
    if (!png) return;
    free(png->data);
    *png = (ch4_synth_png){0};
}

ch4_status ch4_synth_png_save(const char *path, const uint8_t *pixel, int width, int height, int channels, ch4_err *err)
{
    ch4_synth_png png = {0};
    ch4_status st = ch4_synth_png_encode(&png, pixel, width, height, channels, err);
    st = st ? ch4_err_wrap(err, st, "%s", path) : ch4_synth_png_write(path, &png, err);
    ch4_synth_png_free(&png);
    return st;
}

void ch4_synth_on_white(uint8_t *rgb, const uint8_t *rgba, int size)
{
    for (int64_t i = 0; i < (int64_t)size * size; i++)
        for (int k = 0; k < 3; k++) {
            int a = rgba[4 * i + 3];
            rgb[3 * i + k] = (uint8_t)((rgba[4 * i + k] * a + 255 * (255 - a) + 127) / 255);
        }
}

struct ch4_synth_video {
    AVFormatContext *format;
    AVStream *stream;
    AVCodecContext *codec; /* H264 only */
    AVFrame *frame;        /* H264 only */
    AVPacket *packet;
    AVRational time_base;
    char *path;
    int64_t n_frames;
};

static ch4_status av_error(ch4_err *err, const ch4_synth_video *v, const char *what, int code)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, text, sizeof(text));
    ch4_status st = code == AVERROR(ENOSPC) ? CH4_ENOSPC : code == AVERROR(ENOMEM) ? CH4_ENOMEM : CH4_EIO;
    return ch4_err_set(err, st, "%s: %s: %s", v->path, what, text);
}

static ch4_status open_codec(ch4_synth_video *v, int size, int fps, ch4_err *err)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    if (!codec) return ch4_err_set(err, CH4_EUNSUP, "%s: this libavcodec has no libx264 encoder", v->path);
    AVCodecContext *c = v->codec = avcodec_alloc_context3(codec);
    v->frame = av_frame_alloc();
    if (!c || !v->frame) return ch4_err_set(err, CH4_ENOMEM, "%s: encoder", v->path);
    c->width = c->height = size;
    c->time_base = v->time_base;
    c->framerate = (AVRational){fps, 1};
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->colorspace = AVCOL_SPC_SMPTE170M;
    c->chroma_sample_location = AVCHROMA_LOC_CENTER;
    c->color_range = AVCOL_RANGE_MPEG;
    c->thread_count = 1;
    c->flags |= AV_CODEC_FLAG_BITEXACT;
    if (v->format->oformat->flags & AVFMT_GLOBALHEADER) c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    int rc = av_opt_set(c->priv_data, "crf", "12", 0);
    /* x264 164 lets memory that it never wrote into the macroblock tree of some picture sizes: other bytes in each run. */
    if (rc >= 0) rc = av_opt_set(c->priv_data, "mbtree", "0", 0);
    if (rc >= 0) rc = avcodec_open2(c, codec, NULL);
    if (rc < 0) return av_error(err, v, "encoder", rc);
    v->frame->format = AV_PIX_FMT_YUV420P;
    v->frame->width = v->frame->height = size;
    return av_frame_get_buffer(v->frame, 0) < 0 ? ch4_err_set(err, CH4_ENOMEM, "%s: frame", v->path) : CH4_OK;
}

static int describe_png(AVCodecParameters *p, int size)
{
    p->codec_type = AVMEDIA_TYPE_VIDEO;
    p->codec_id = AV_CODEC_ID_PNG;
    p->format = AV_PIX_FMT_RGBA;
    p->width = p->height = size;
    p->bits_per_coded_sample = 32; /* QuickTime's mark of a picture with alpha */
    return 0;
}

static ch4_status open_file(ch4_synth_video *v, int size, int fps, ch4_err *err)
{
    v->stream = avformat_new_stream(v->format, NULL);
    if (!v->stream) return ch4_err_set(err, CH4_ENOMEM, "%s: stream", v->path);
    v->stream->time_base = v->time_base;
    v->stream->avg_frame_rate = (AVRational){fps, 1};
    v->format->flags |= AVFMT_FLAG_BITEXACT;
    int rc = v->codec ? avcodec_parameters_from_context(v->stream->codecpar, v->codec) : describe_png(v->stream->codecpar, size);
    if (rc >= 0) rc = avio_open(&v->format->pb, v->path, AVIO_FLAG_WRITE);
    if (rc >= 0) rc = avformat_write_header(v->format, NULL);
    return rc < 0 ? av_error(err, v, "cannot start the file", rc) : CH4_OK;
}

ch4_status ch4_synth_video_create(ch4_synth_video **out, ch4_synth_video_kind kind, const char *path, int size, int fps, ch4_err *err)
{
    *out = NULL;
    assert(size % 2 == 0 || kind != CH4_SYNTH_VIDEO_H264);
    ch4_synth_video *v = calloc(1, sizeof(*v));
    if (!v) return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    av_log_set_level(AV_LOG_QUIET);
    v->path = strdup(path);
    v->packet = av_packet_alloc();
    v->time_base = (AVRational){1, fps};
    ch4_status st = CH4_OK;
    if (!v->path || !v->packet) st = ch4_err_set(err, CH4_ENOMEM, "%s: video", path);
    else if (avformat_alloc_output_context2(&v->format, NULL, kind == CH4_SYNTH_VIDEO_H264 ? "mp4" : "mov", path) < 0)
        st = ch4_err_set(err, CH4_ENOMEM, "%s: writer", path);
    if (!st && kind == CH4_SYNTH_VIDEO_H264) st = open_codec(v, size, fps, err);
    if (!st) st = open_file(v, size, fps, err);
    if (st) ch4_synth_video_destroy(&v);
    *out = v;
    return st;
}

/* The packet in v->packet, in frames of the clip. */
static int write_packet(ch4_synth_video *v)
{
    v->packet->duration = 1;
    av_packet_rescale_ts(v->packet, v->time_base, v->stream->time_base);
    return av_interleaved_write_frame(v->format, v->packet);
}

/* frame NULL: flush. */
static ch4_status encode(ch4_synth_video *v, const AVFrame *frame, ch4_err *err)
{
    int rc = avcodec_send_frame(v->codec, frame);
    while (rc >= 0 && (rc = avcodec_receive_packet(v->codec, v->packet)) >= 0) rc = write_packet(v);
    return rc == AVERROR(EAGAIN) || rc == AVERROR_EOF ? CH4_OK : av_error(err, v, "cannot write a frame", rc);
}

/* BT.601, 16..235; chroma is the mean of 2x2 pixels. Written here because libswscale's RGB reader looks at bytes behind the picture,
 * so that the same picture can give different bytes. Weights are in 1/65536 of a step. */
static void fill_yuv(AVFrame *out, const uint8_t *rgb, int size)
{
    static const int weight[3][3] = {{16829, 33039, 6416}, {-9714, -19071, 28785}, {28784, -24103, -4681}};
    for (int y = 0; y < size; y += 2)
        for (int x = 0; x < size; x += 2) {
            int sum[3] = {0};
            for (int j = 0; j < 4; j++) {
                const uint8_t *p = rgb + 3 * ((int64_t)(y + j / 2) * size + x + j % 2);
                int luma = weight[0][0] * p[0] + weight[0][1] * p[1] + weight[0][2] * p[2];
                out->data[0][(int64_t)(y + j / 2) * out->linesize[0] + x + j % 2] = (uint8_t)(16 + ((luma + 32768) >> 16));
                for (int k = 0; k < 3; k++) sum[k] += p[k];
            }
            for (int c = 1; c < 3; c++) {
                int chroma = weight[c][0] * sum[0] + weight[c][1] * sum[1] + weight[c][2] * sum[2];
                out->data[c][(int64_t)(y / 2) * out->linesize[c] + x / 2] = (uint8_t)(128 + ((chroma + (1 << 17)) >> 18));
            }
        }
}

ch4_status ch4_synth_video_write(ch4_synth_video *video, const uint8_t *rgb, ch4_err *err)
{
    int rc = av_frame_make_writable(video->frame), size = video->codec->width;
    if (rc < 0) return av_error(err, video, "frame", rc);
    fill_yuv(video->frame, rgb, size);
    video->frame->pts = video->n_frames++;
    return encode(video, video->frame, err);
}

ch4_status ch4_synth_video_write_png(ch4_synth_video *video, const ch4_synth_png *png, ch4_err *err)
{
    int rc = av_new_packet(video->packet, (int)png->size);
    if (rc >= 0) {
        memcpy(video->packet->data, png->data, png->size);
        video->packet->flags |= AV_PKT_FLAG_KEY;
        video->packet->pts = video->packet->dts = video->n_frames++;
        rc = write_packet(video);
    }
    return rc < 0 ? av_error(err, video, "cannot write a frame", rc) : CH4_OK;
}

ch4_status ch4_synth_video_finish(ch4_synth_video *video, ch4_err *err)
{
    ch4_status st = video->codec ? encode(video, NULL, err) : CH4_OK;
    int rc = st ? 0 : av_write_trailer(video->format);
    if (rc >= 0 && !st) rc = avio_closep(&video->format->pb);
    return rc < 0 ? av_error(err, video, "cannot finish the file", rc) : st;
}

void ch4_synth_video_destroy(ch4_synth_video **video)
{
    if (!video || !*video) return;
    ch4_synth_video *v = *video;
    if (v->format) avio_closep(&v->format->pb);
    avformat_free_context(v->format);
    avcodec_free_context(&v->codec);
    av_frame_free(&v->frame);
    av_packet_free(&v->packet);
    free(v->path);
    free(v);
    *video = NULL;
}

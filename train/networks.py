"""The three networks of the mini model, tensor for tensor as the C side loads them.

They follow the published architecture (TripoSG autoencoder, ActionMesh temporal denoiser, DINOv2 encoder): fused head layout, RMS
query/key norm and rotary frame positions in the denoiser, a time token per frame, skips that pop last-in-first-out, a negated decoder
output. check_golden.py holds them against recorded outputs of the public implementations.

Letters: B batch, T frames, N tokens of a frame, D latent channels, W width, H heads, P image patches, M points.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class Norm(nn.LayerNorm):
    """LayerNorm in float32 that returns its input's dtype; on a CPU several times faster than the bfloat16 kernel."""

    def forward(self, x):
        return F.layer_norm(x.float(), self.normalized_shape, self.weight, self.bias, self.eps).to(x.dtype)


class HeadNorm(nn.Module):
    """RMS norm over the head dimension with a weight and no bias; the mean square is taken in float32."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)
        return x * scale.to(x.dtype) * self.weight.to(x.dtype)


class Attention(nn.Module):
    """Self-attention (context None) or cross-attention with the published fused head layout.

    The projections are concatenated along the channels first and cut into heads afterwards, so a head's query may physically lie in
    to_k or to_v. If `keep` is set, forward leaves the final queries and keys [B,H,L,D] in `kept`, for reading attention maps.
    """

    def __init__(self, width, heads, context=None, head_norm=False):
        super().__init__()
        self.heads, self.dim = heads, width // heads
        self.cross = context is not None
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context or width, width, bias=False)
        self.to_v = nn.Linear(context or width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.norm_q = HeadNorm(self.dim) if head_norm else None
        self.norm_k = HeadNorm(self.dim) if head_norm else None
        self.keep, self.kept = False, None

    def project(self, x, context):
        h, d = self.heads, self.dim
        if context is None:
            fused = F.linear(x, torch.cat([self.to_q.weight, self.to_k.weight, self.to_v.weight]))
            return fused.view(*x.shape[:2], h, 3 * d).transpose(1, 2).split(d, -1)
        q = self.to_q(x).view(*x.shape[:2], h, d).transpose(1, 2)
        fused = F.linear(context, torch.cat([self.to_k.weight, self.to_v.weight]))
        k, v = fused.view(*context.shape[:2], h, 2 * d).transpose(1, 2).split(d, -1)
        return q, k, v

    def forward(self, x, context=None, rotation=None):
        q, k, v = self.project(x, context)
        if self.norm_q is not None:
            q, k = self.norm_q(q), self.norm_k(k)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        q = q * self.dim ** -0.5
        if self.keep:
            self.kept = q, k
        y = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return self.to_out[0](y.transpose(1, 2).reshape(*x.shape[:2], -1))


def rotation_table(position, dim, base=10000.0):
    """cos and sin [..., dim] of position * base^(-2j/dim), each value twice (for the pair 2j, 2j+1)."""
    frequency = base ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    angle = (position.float()[..., None] * frequency).repeat_interleave(2, -1)
    return angle.cos(), angle.sin()


def rotate(x, table):
    """Turns adjacent pairs: out[2j] = x[2j] cos - x[2j+1] sin, out[2j+1] = x[2j+1] cos + x[2j] sin.

    The exchange of neighbours is a product with a signed permutation: exact, and faster than strided copies."""
    cos, sin = (t.to(x.dtype) for t in table)
    even = torch.arange(0, x.shape[-1], 2)
    exchange = torch.zeros(x.shape[-1], x.shape[-1], dtype=x.dtype)
    exchange[even + 1, even], exchange[even, even + 1] = -1, 1
    return x * cos + (x @ exchange) * sin


class FeedForward(nn.Module):
    def __init__(self, width, ratio=4):
        super().__init__()
        first = nn.Module()
        first.proj = nn.Linear(width, int(width * ratio))
        # index 1 is a dropout without parameters in the published classes; it is kept so that the tensor names agree
        self.net = nn.ModuleList([first, nn.Identity(), nn.Linear(int(width * ratio), width)])

    def forward(self, x):
        return self.net[2](F.gelu(self.net[0].proj(x)))


def frequency_embedding(x, octaves):
    """[x, sin(x 2^j), cos(x 2^j)]: axis-major inside the sine group, then the same for cosine."""
    scaled = (x[..., None] * (2.0 ** torch.arange(octaves))).flatten(-2)
    return torch.cat([x, scaled.sin(), scaled.cos()], -1)


class SelfBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attn1 = Norm(width), Attention(width, heads)
        self.norm3, self.ff = Norm(width), FeedForward(width)

    def forward(self, x):
        x = x + self.attn1(self.norm1(x))
        return x + self.ff(self.norm3(x))


class CrossBlock(nn.Module):
    """Cross-attention block of the autoencoder; its context has a norm of its own."""

    def __init__(self, width, heads):
        super().__init__()
        self.norm2, self.attn2 = Norm(width), Attention(width, heads, context=width)
        self.attn2.norm_cross = Norm(width)
        self.norm3, self.ff = Norm(width), FeedForward(width)

    def forward(self, x, context):
        x = x + self.attn2(self.norm2(x), self.attn2.norm_cross(context))
        return x + self.ff(self.norm3(x))


class Autoencoder(nn.Module):
    """Set-latent shape autoencoder: surface points to N tokens x D, tokens to a scalar field at any point."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        we, wd, heads = config["width_encoder"], config["width_decoder"], config["num_attention_heads"]
        self.octaves = config["embed_frequency"]
        embed, channels = 3 + 6 * self.octaves, config["latent_channels"]
        self.encoder = nn.Module()
        self.encoder.proj_in = nn.Linear(embed + 3, we)
        self.encoder.blocks = nn.ModuleList([CrossBlock(we, heads)]
                                            + [SelfBlock(we, heads) for _ in range(config["num_layers_encoder"])])
        self.encoder.norm_out = Norm(we)
        self.quant = nn.Linear(we, 2 * channels)
        self.post_quant = nn.Linear(channels, wd)
        self.decoder = nn.Module()
        self.decoder.blocks = nn.ModuleList([SelfBlock(wd, heads) for _ in range(config["num_layers_decoder"])]
                                            + [CrossBlock(wd, heads)])
        self.decoder.proj_query = nn.Linear(embed, wd)
        self.decoder.norm_out = Norm(wd)
        self.decoder.proj_out = nn.Linear(wd, 1)

    def encode(self, points, normals, index):
        """points, normals [B,M,3], index [B,N] of the query points. Returns mean and clamped log-variance [B,N,D]."""
        cloud = self.encoder.proj_in(torch.cat([frequency_embedding(points, self.octaves), normals], -1))
        x = cloud.gather(1, index[..., None].expand(-1, -1, cloud.shape[-1]))
        x = self.encoder.blocks[0](x, cloud)
        for block in self.encoder.blocks[1:]:
            x = block(x)
        mean, logvar = self.quant(self.encoder.norm_out(x)).float().chunk(2, -1)
        return mean, logvar.clamp(-30, 20)

    def expand(self, z):
        """Latent [B,N,D] to the decoder's token cache [B,N,W]; needed once per latent."""
        x = self.post_quant(z)
        for block in self.decoder.blocks[:-1]:
            x = block(x)
        return x

    def field(self, cache, points):
        """Field values [B,Q] at points [B,Q,3]; note the final negation."""
        u = self.decoder.proj_query(frequency_embedding(points, self.octaves))
        u = self.decoder.blocks[-1](u, cache)
        return -self.decoder.proj_out(self.decoder.norm_out(u))[..., 0]

    def token_rows(self, cache, points):
        """Head mean of the decoder's point-to-token attention [B,Q,N]; rows sum to 1."""
        block = self.decoder.blocks[-1]
        u = block.norm2(self.decoder.proj_query(frequency_embedding(points, self.octaves)))
        q, k, _ = block.attn2.project(u, block.attn2.norm_cross(cache))
        return (q @ k.transpose(-1, -2) * block.attn2.dim ** -0.5).softmax(-1).mean(1)


class DenoiserBlock(nn.Module):
    def __init__(self, width, heads, context, ratio, skip):
        super().__init__()
        if skip:
            self.linear_skip, self.norm_skip = nn.Linear(2 * width, width), Norm(width)
        self.norm_s_attn, self.s_attn = Norm(width), Attention(width, heads, head_norm=True)
        self.norm_x_attn, self.x_attn = Norm(width), Attention(width, heads, context=context, head_norm=True)
        self.norm_ff, self.ff = Norm(width), FeedForward(width, ratio)

    def forward(self, x, context, rotation, frames, saved=None):
        """x [B*frames, N+1, W]; self-attention runs over `frames` frames at once, cross-attention inside each frame."""
        if saved is not None:
            x = self.norm_skip(self.linear_skip(torch.cat([saved, x], -1)))
        y = self.norm_s_attn(x)
        y = self.s_attn(y.reshape(-1, frames * x.shape[1], x.shape[2]), rotation=rotation)
        x = x + y.view_as(x)
        x = x + self.x_attn(self.norm_x_attn(x), context)
        return x + self.ff(self.norm_ff(x))


class Denoiser(nn.Module):
    """Temporal flow-matching denoiser. Velocity = data - noise, at times 0 (clean) to 1000 (noise)."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width, self.layers, heads = config["width"], config["num_layers"], config["num_attention_heads"]
        self.width, self.dim = width, width // heads
        self.inflated = set(config["inflated_layers"])
        self.time_proj = nn.Module()
        self.time_proj.linear_1 = nn.Linear(width, 4 * width)
        self.time_proj.linear_2 = nn.Linear(4 * width, width)
        self.proj_in = nn.Linear(config["in_channels"], width)
        self.blocks = nn.ModuleList([
            DenoiserBlock(width, heads, config["cross_attention_dim"], config["mlp_ratio"], skip=i > self.layers // 2)
            for i in range(self.layers)])
        self.norm_out = Norm(width)
        self.proj_out = nn.Linear(width, config["in_channels"])

    def time_token(self, time):
        half = self.width // 2
        frequency = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32) / half)
        angle = time.float()[:, None] * frequency
        return self.time_proj.linear_2(F.gelu(self.time_proj.linear_1(torch.cat([angle.sin(), angle.cos()], -1))))

    def forward(self, x, context, framestep, time, mask):
        """x [B,T,N,D], context [B,T,P,C], framestep [B,T], time [B] (0..1000), mask [B,T] (1 = clean). Returns velocity [B,T,N,D]."""
        b, t, n, _ = x.shape
        token = self.time_token((time[:, None] * (1 - mask)).flatten())
        h = self.proj_in(x.flatten(0, 1))
        h = torch.cat([token[:, None].to(h.dtype), h], 1)
        position = framestep - framestep.min(1, keepdim=True)[0]
        inflated = tuple(a.repeat_interleave(n + 1, 1)[:, None] for a in rotation_table(position, self.dim))
        single = tuple(a.view(b * t, 1, n + 1, -1) for a in inflated)
        context, stack = context.flatten(0, 1), []
        for i, block in enumerate(self.blocks):
            saved = stack.pop() if i > self.layers // 2 else None
            wide = i in self.inflated
            h = block(h, context, inflated if wide else single, t if wide else 1, saved)
            if i < self.layers // 2:
                stack.append(h)
        return self.proj_out(self.norm_out(h[:, 1:])).float().view(b, t, n, -1)


class EncoderLayer(nn.Module):
    """DINOv2 layer: ordinary heads, layer scale on both branches."""

    def __init__(self, width, heads, ratio, eps):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = Norm(width, eps=eps), Norm(width, eps=eps)
        self.attention, self.mlp = nn.Module(), nn.Module()
        self.attention.attention, self.attention.output = nn.Module(), nn.Module()
        for name in ("query", "key", "value"):
            setattr(self.attention.attention, name, nn.Linear(width, width))
        self.attention.output.dense = nn.Linear(width, width)
        self.layer_scale1, self.layer_scale2 = nn.Module(), nn.Module()
        self.layer_scale1.lambda1 = nn.Parameter(torch.ones(width))
        self.layer_scale2.lambda1 = nn.Parameter(torch.ones(width))
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, int(width * ratio)), nn.Linear(int(width * ratio), width)

    def forward(self, x):
        y, inner = self.norm1(x), self.attention.attention
        q, k, v = (f(y).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for f in (inner.query, inner.key, inner.value))
        y = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(-1) @ v
        y = self.attention.output.dense(y.transpose(1, 2).reshape(x.shape))
        x = x + y * self.layer_scale1.lambda1.to(x.dtype)
        return x + self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x)))) * self.layer_scale2.lambda1.to(x.dtype)


class ImageEncoder(nn.Module):
    """DINOv2 kind of encoder: class token, learned position table, layer scale, final norm on all tokens."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width, eps, patch = config["hidden_size"], config["layer_norm_eps"], config["patch_size"]
        grid = config["image_size"] // patch
        self.embeddings = nn.Module()
        self.embeddings.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.embeddings.mask_token = nn.Parameter(torch.zeros(1, width))
        self.embeddings.position_embeddings = nn.Parameter(torch.randn(1, 1 + grid * grid, width) * 0.02)
        self.embeddings.patch_embeddings = nn.Module()
        self.embeddings.patch_embeddings.projection = nn.Conv2d(config["num_channels"], width, patch, patch)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList([EncoderLayer(width, config["num_attention_heads"], config["mlp_ratio"], eps)
                                            for _ in range(config["num_hidden_layers"])])
        self.layernorm = Norm(width, eps=eps)

    def forward(self, pixels):
        """pixels [B,3,S,S], normalised; S must be the size of the position table. Returns [B,1+P,W], class token first."""
        x = self.embeddings.patch_embeddings.projection(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.embeddings.cls_token.to(x.dtype).expand(len(x), -1, -1), x], 1)
        x = x + self.embeddings.position_embeddings.to(x.dtype)
        for layer in self.encoder.layer:
            x = layer(x)
        return self.layernorm(x)


IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalise_images(images):
    """u8 [..., S, S, 3] to normalised float [n, 3, S, S] with the leading axes folded."""
    x = images.reshape(-1, *images.shape[-3:]).float() / 255.0
    return ((x - torch.tensor(IMAGE_MEAN)) / torch.tensor(IMAGE_STD)).permute(0, 3, 1, 2)


TOKENS, FRAMES = 64, 16

AUTOENCODER_CONFIG = dict(in_channels=3, latent_channels=16, num_attention_heads=4, width_encoder=128, width_decoder=128,
                          num_layers_encoder=1, num_layers_decoder=3, embedding_type="frequency", embed_frequency=6,
                          embed_include_pi=False)
DENOISER_CONFIG = dict(num_tokens_nominal=TOKENS, temporal_context_size=FRAMES, in_channels=16, width=128, num_layers=7,
                       num_attention_heads=4, cross_attention_dim=128, mlp_ratio=4.0, inflated_layers=list(range(7)))
IMAGE_CONFIG = dict(model_type="dinov2", hidden_size=128, num_hidden_layers=3, num_attention_heads=4, mlp_ratio=4, hidden_act="gelu",
                    layer_norm_eps=1e-6, image_size=64, patch_size=8, num_channels=3, qkv_bias=True, use_swiglu_ffn=False,
                    layerscale_value=1.0)

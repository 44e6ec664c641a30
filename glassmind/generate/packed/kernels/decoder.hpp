// All blocks of a pre-norm decoder in one call: the computation of model/transformer.py, for CPUs.
//
// One team of threads runs the whole pass; each step below divides its work among them and ends
// with a barrier. Nothing is allocated, and no Python runs, between two layers. The work is never
// divided within a sum, so a token's numbers do not depend on how many threads or tokens there are.
#pragma once

#include "attention.hpp"
#include "matrix.hpp"

namespace {

struct Norm {
    const float *weight, *bias;  // no weight: no norm; a bias: LayerNorm, else RMSNorm
};

struct Layer {
    Norm attention_norm, query_norm, key_norm, attention_out_norm;
    Norm feed_forward_norm, feed_forward_out_norm;
    Matrix qkv, output, up, down;  // up: where there is a gate, it follows in the same matrix
    const float *cos, *sin, *slopes;
    int64_t window;
};

enum Activation : int64_t { RELU, RELU_SQUARED, GELU, SILU };

struct Decoder {
    const Layer* layers;
    Norm final_norm;
    int64_t n_layers, d_model, heads, kv_heads, head_dim, d_hidden;
    int64_t layer_norm, norm_all_heads, activation, gated;
    float norm_eps, scale;
};

// The sum of f(x[i]), as eight partial sums.
template <typename Function>
inline float sum_of(const float* x, int64_t width, const Function& f) {
    Lanes sums = {};
    int64_t i = 0;
    for (; i + WIDE <= width; i += WIDE) sums += f(load_lanes(x + i));
    float total = sum(sums);
    for (; i < width; ++i) total += f(Lanes{} + x[i])[0];
    return total;
}

// out = norm(x), `width` numbers each; out may be x.
inline void normalise(const float* x, const Norm& norm, int64_t width, bool layer_norm, float eps,
                      float* out) {
    const auto n = float(width);
    const float mean = layer_norm ? sum_of(x, width, [](Lanes v) { return v; }) / n : 0.0f;
    const float squares =
        sum_of(x, width, [=](Lanes v) { return (v - mean) * (v - mean); });
    const float share = 1.0f / std::sqrt(squares / n + eps);
    for (int64_t i = 0; i < width; ++i) out[i] = (x[i] - mean) * share * norm.weight[i];
    if (norm.bias)
        for (int64_t i = 0; i < width; ++i) out[i] += norm.bias[i];
}

// Rotates pairs (x[i], x[i + half]) by the position's angles.
inline void rotate(float* x, int64_t half, const float* cos, const float* sin) {
    for (int64_t i = 0; i < half; ++i) {
        const float first = x[i], second = x[i + half];
        x[i] = first * cos[i] - second * sin[i];
        x[i + half] = second * cos[i] + first * sin[i];
    }
}

inline Lanes activate(Lanes x, int64_t kind) {
    const Lanes positive = x > 0.0f ? x : Lanes{};
    switch (Activation(kind)) {
        case RELU: return positive;
        case RELU_SQUARED: return positive * positive;
        case GELU: return x * sigmoid((x + x * x * x * 0.044715f) * 1.5957691216f);
        case SILU: return x * sigmoid(x);
    }
    return x;
}

// hidden = activation(up), or activation(gate) * up; in place over `up`, (up, gate) side by side.
inline void activate_row(float* up, const Decoder& model) {
    const int64_t width = model.d_hidden;
    const float* inner = model.gated ? up + width : up;
    const auto some = [&](int64_t i, int64_t count) {
        float buffer[2 * WIDE] = {};
        std::copy(inner + i, inner + i + count, buffer);
        lanes(buffer) = activate(lanes(buffer), model.activation);
        for (int64_t j = 0; j < count; ++j)
            up[i + j] = model.gated ? buffer[j] * up[i + j] : buffer[j];
    };
    int64_t i = 0;
    for (; i + WIDE <= width; i += WIDE) {
        const Lanes active = activate(load_lanes(inner + i), model.activation);
        lanes(up + i) = model.gated ? active * load_lanes(up + i) : active;
    }
    if (i < width) some(i, width - i);
}

inline int64_t padded(int64_t width) { return (width + GROUP - 1) / GROUP * GROUP; }

// What a pass keeps between its steps. Rows are as long as the next matrix reads, zeros at the end.
struct Scratch {
    std::vector<float> storage;
    float *read, *qkv, *gathered, *up, *said;
    WholeRows whole;
    int64_t read_stride, qkv_stride, gathered_stride, up_stride;

    void arrange(const Decoder& model, int64_t tokens) {
        const int64_t heads = model.heads + 2 * model.kv_heads;
        read_stride = padded(model.d_model);
        qkv_stride = heads * model.head_dim;
        gathered_stride = padded(model.heads * model.head_dim);
        up_stride = std::max(padded(model.d_hidden), model.d_hidden * (model.gated ? 2 : 1));
        const int64_t strides[] = {read_stride, qkv_stride, gathered_stride, up_stride,
                                   model.d_model};
        float** parts[] = {&read, &qkv, &gathered, &up, &said};
        int64_t total = 0;
        for (int64_t stride : strides) total += stride * tokens;
        if (storage.size() < size_t(total)) storage.resize(total);
        float* at = storage.data();
        for (int i = 0; i < 5; ++i) *parts[i] = at, at += strides[i] * tokens;
        whole.make_room(tokens, std::max({read_stride, gathered_stride, padded(model.d_hidden)}));
    }
};

inline void clear(float* row, int64_t from, int64_t to) {
    if (from < to) std::fill(row + from, row + to, 0.0f);
}

template <typename Stored>
void decode_layer(const Decoder& model, const Layer& layer, const CacheLayer& cache,
                  const Places& places, const int64_t* positions, int64_t tokens, Scratch& s,
                  std::vector<float>& scores, float* x) {
    const int64_t width = model.d_model, head_dim = model.head_dim;
    const int64_t q_width = model.heads * head_dim, kv_width = model.kv_heads * head_dim;
    const AttentionShape shape{model.heads, model.kv_heads, head_dim,    head_dim,
                               layer.window, model.scale,   layer.slopes};
    const auto norm = [&](const float* from, const Norm& how, int64_t n, float* to) {
        normalise(from, how, n, model.layer_norm, model.norm_eps, to);
    };
    const auto read = [&](const Norm& before) {
#pragma omp for schedule(static)
        for (int64_t t = 0; t < tokens; ++t) {
            float* row = s.read + t * s.read_stride;
            if (before.weight)
                norm(x + t * width, before, width, row);
            else
                std::copy(x + t * width, x + (t + 1) * width, row);
            clear(row, width, s.read_stride);
        }
    };
    const auto say = [&](const Matrix& matrix, const float* rows, int64_t stride,
                         const Norm& after) {
        float* to = after.weight ? s.said : x;
        const bool add = !after.weight;
        multiply_all(matrix, Rows{rows, stride, tokens}, s.whole,
                     [&](int64_t t, int64_t first, int64_t count, const float* sums) {
                         float* out = to + t * width + first;
                         for (int64_t i = 0; i < count; ++i)
                             out[i] = add ? out[i] + sums[i] : sums[i];
                     });
        if (!after.weight) return;
#pragma omp for schedule(static)
        for (int64_t t = 0; t < tokens; ++t) {
            float* row = s.said + t * width;
            norm(row, after, width, row);
            for (int64_t i = 0; i < width; ++i) x[t * width + i] += row[i];
        }
    };
    const auto write_to = [](float* to, int64_t stride) {
        return [=](int64_t t, int64_t first, int64_t count, const float* sums) {
            std::copy(sums, sums + count, to + t * stride + first);
        };
    };

    read(layer.attention_norm);
    multiply_all(layer.qkv, Rows{s.read, s.read_stride, tokens}, s.whole,
                 write_to(s.qkv, s.qkv_stride));
#pragma omp for schedule(static)
    for (int64_t t = 0; t < tokens; ++t) {
        float *q = s.qkv + t * s.qkv_stride, *k = q + q_width, *v = k + kv_width;
        if (layer.query_norm.weight && model.norm_all_heads) {
            norm(q, layer.query_norm, q_width, q);
            norm(k, layer.key_norm, kv_width, k);
        }
        for (int64_t h = 0; h < model.heads + model.kv_heads; ++h) {
            float* head = q + h * head_dim;
            if (layer.query_norm.weight && !model.norm_all_heads)
                norm(head, h < model.heads ? layer.query_norm : layer.key_norm, head_dim, head);
            if (layer.cos) {
                const int64_t angle = positions[t] * head_dim / 2;
                rotate(head, head_dim / 2, layer.cos + angle, layer.sin + angle);
            }
        }
        for (int64_t h = 0; h < model.kv_heads; ++h)
            store_token<Stored>(cache, shape, places.slots[t], h, k + h * head_dim,
                                v + h * head_dim);
        clear(s.gathered + t * s.gathered_stride, q_width, s.gathered_stride);
    }
#pragma omp for collapse(2) schedule(dynamic, 4)
    for (int64_t t = 0; t < tokens; ++t)
        for (int64_t h = 0; h < model.kv_heads; ++h)
            attend_token<Stored>(s.qkv + t * s.qkv_stride, cache, places, shape, t, h, s.gathered,
                                 s.gathered_stride, scores);
    say(layer.output, s.gathered, s.gathered_stride, layer.attention_out_norm);

    read(layer.feed_forward_norm);
    multiply_all(layer.up, Rows{s.read, s.read_stride, tokens}, s.whole,
                 write_to(s.up, s.up_stride));
#pragma omp for schedule(static)
    for (int64_t t = 0; t < tokens; ++t) {
        activate_row(s.up + t * s.up_stride, model);
        clear(s.up + t * s.up_stride, model.d_hidden, padded(model.d_hidden));
    }
    say(layer.down, s.up, s.up_stride, layer.feed_forward_out_norm);
}

// x (tokens, d_model): embeddings in, final hidden states out.
template <typename Stored>
void decode(const Decoder& model, const CacheLayer* caches, const Places& places,
            const int64_t* positions, int64_t tokens, float* x) {
    static thread_local Scratch scratch;
    scratch.arrange(model, tokens);
    Scratch& shared = scratch;
#pragma omp parallel
    {
        std::vector<float> scores;
        for (int64_t i = 0; i < model.n_layers; ++i)
            decode_layer<Stored>(model, model.layers[i], caches[i], places, positions, tokens,
                                 shared, scores, x);
        if (model.final_norm.weight) {
#pragma omp for schedule(static)
            for (int64_t t = 0; t < tokens; ++t) {
                float* row = x + t * model.d_model;
                normalise(row, model.final_norm, model.d_model, model.layer_norm, model.norm_eps,
                          row);
            }
        }
    }
}

}  // namespace

// Attention over a paged KV cache, for CPUs; paged_attention.py calls it.
//
// A sequence's keys and values are in blocks of BLOCK tokens anywhere in memory; its row of
// `tables` lists them in order. Every query token and kv head is computed separately, so the result
// of one sequence does not depend, to the bit, on what else is in the batch.
//
//   keys    (blocks, K, E, BLOCK)   transposed within a block: one load serves BLOCK positions
//   values  (blocks, K, BLOCK, F)
//   queries (T, H, E), out (T, H, F), H = K * groups; row_of, visible (T)
//
// If they are stored as int8, each key and each value has a scale: (blocks, K, BLOCK) each.
#pragma once

#include "lanes.hpp"

namespace {

constexpr int BLOCK = 16;  // a pair of lanes
static_assert(BLOCK == 2 * WIDE);

struct CacheLayer {
    void *keys, *values;  // no values: keys serve as values too
    float *key_scales, *value_scales;
};

struct Places {
    const int32_t* tables;
    int64_t table_width;
    const int32_t *row_of, *visible;
    const int64_t* slots;
};

struct AttentionShape {
    int64_t heads, kv_heads, key_width, value_width, window;
    float scale;
    const float* slopes;
};

// M queries against the BLOCK keys of one block: scores[m][0..BLOCK).
template <int M, typename Stored>
inline void block_scores(const float* const* queries, const Stored* keys, int64_t width,
                         float* const* scores) {
    Pair sums[M] = {};
    for (int64_t e = 0; e < width; ++e) {
        const Pair key = load_pair(keys + e * BLOCK);
        for (int m = 0; m < M; ++m) {
            sums[m].low += queries[m][e] * key.low;
            sums[m].high += queries[m][e] * key.high;
        }
    }
    for (int m = 0; m < M; ++m) store_pair(scores[m], sums[m]);
}

// Values of `count` positions of one block, weighted, added to M outputs.
template <int M, typename Stored>
inline void add_values(const float* const* weights, const Stored* values, int count, int64_t width,
                       float* const* out) {
    int64_t f = 0;
    for (; f + BLOCK <= width; f += BLOCK) {
        Pair sums[M];
        for (int m = 0; m < M; ++m) sums[m] = load_pair(out[m] + f);
        for (int p = 0; p < count; ++p) {
            const Pair value = load_pair(values + p * width + f);
            for (int m = 0; m < M; ++m) {
                sums[m].low += weights[m][p] * value.low;
                sums[m].high += weights[m][p] * value.high;
            }
        }
        for (int m = 0; m < M; ++m) store_pair(out[m] + f, sums[m]);
    }
    for (; f < width; ++f)
        for (int m = 0; m < M; ++m)
            for (int p = 0; p < count; ++p) out[m][f] += weights[m][p] * load(values[p * width + f]);
}

// The same if keys serve as values too (latent attention): a key's numbers are BLOCK apart.
template <int M, typename Stored>
inline void add_keys(const float* const* weights, const Stored* keys, int64_t width,
                     float* const* out) {
    for (int64_t f = 0; f < width; ++f) {
        const Pair key = load_pair(keys + f * BLOCK);
        for (int m = 0; m < M; ++m) {
            const Pair weight = load_pair(weights[m]);
            out[m][f] += sum(weight.low * key.low + weight.high * key.high);
        }
    }
}

// Scores to weights, in place. Places before `skipped` and from `last` on are not seen.
inline void softmax(float* scores, int64_t room, int64_t skipped, int64_t last) {
    std::fill(scores, scores + skipped, -1e30f);
    std::fill(scores + last, scores + room, -1e30f);
    Lanes peaks = lanes(scores);
    for (int64_t s = WIDE; s < room; s += WIDE)
        peaks = peaks > lanes(scores + s) ? peaks : lanes(scores + s);
    float peak = peaks[0];
    for (int p = 1; p < WIDE; ++p) peak = std::max(peak, peaks[p]);
    Lanes totals = {};
    for (int64_t s = 0; s < room; s += WIDE)
        totals += lanes(scores + s) = exp_below_zero(lanes(scores + s) - peak);
    const float share = 1.0f / sum(totals);
    for (int64_t s = 0; s < room; s += WIDE) lanes(scores + s) *= share;
    std::fill(scores, scores + skipped, 0.0f);
    std::fill(scores + last, scores + room, 0.0f);
}

inline void multiply_block(float* numbers, const float* scales) {
    lanes(numbers) *= load_lanes(scales);
    lanes(numbers + WIDE) *= load_lanes(scales + WIDE);
}

// M heads of one kv head, for one token.
template <int M, typename Stored>
void attend_heads(const float* queries, const CacheLayer& cache, const int32_t* table,
                  int64_t visible, const float* slopes, const AttentionShape& shape,
                  int64_t kv_head, float* out, std::vector<float>& scratch) {
    const auto keys = static_cast<const Stored*>(cache.keys);
    const auto values = static_cast<const Stored*>(cache.values);
    const int64_t first = shape.window ? std::max<int64_t>(0, visible - shape.window) : 0;
    const int64_t first_block = first / BLOCK, end_block = (visible + BLOCK - 1) / BLOCK;
    const int64_t room = (end_block - first_block) * BLOCK;
    const auto needed = size_t(M * (room + shape.key_width));
    if (scratch.size() < needed) scratch.resize(needed);
    const float* query[M];
    float *row[M], *result[M], *part[M];
    for (int m = 0; m < M; ++m) {
        float* scaled = scratch.data() + M * room + m * shape.key_width;
        for (int64_t e = 0; e < shape.key_width; ++e)
            scaled[e] = queries[m * shape.key_width + e] * shape.scale;
        query[m] = scaled;
        row[m] = scratch.data() + m * room;
        result[m] = out + m * shape.value_width;
    }
    for (int64_t b = first_block; b < end_block; ++b) {
        for (int m = 0; m < M; ++m) part[m] = row[m] + (b - first_block) * BLOCK;
        const int64_t block = int64_t(table[b]) * shape.kv_heads + kv_head;
        block_scores<M>(query, keys + block * shape.key_width * BLOCK, shape.key_width, part);
        if (cache.key_scales)
            for (int m = 0; m < M; ++m) multiply_block(part[m], cache.key_scales + block * BLOCK);
    }
    const int64_t skipped = first - first_block * BLOCK;
    const int64_t last = visible - first_block * BLOCK;
    for (int m = 0; m < M; ++m) {
        float* score = row[m];
        if (slopes)  // relative to position 0: the same for all keys of a query
            for (int64_t s = skipped; s < last; ++s)
                score[s] += slopes[m] * float(first_block * BLOCK + s - (visible - 1));
        softmax(score, room, skipped, last);
        std::memset(result[m], 0, shape.value_width * sizeof(float));
    }
    for (int64_t b = first_block; b < end_block; ++b) {
        const float* weight[M];
        const int64_t block = int64_t(table[b]) * shape.kv_heads + kv_head;
        for (int m = 0; m < M; ++m) {
            part[m] = row[m] + (b - first_block) * BLOCK;
            weight[m] = part[m];
            const float* scales = values ? cache.value_scales : cache.key_scales;
            if (scales) multiply_block(part[m], scales + block * BLOCK);
        }
        const int count = int(std::min<int64_t>(BLOCK, visible - b * BLOCK));
        if (values)
            add_values<M>(weight, values + block * BLOCK * shape.value_width, count,
                          shape.value_width, result);
        else
            add_keys<M>(weight, keys + block * BLOCK * shape.key_width, shape.key_width, result);
    }
}

// All heads of one kv head, for token t.
template <typename Stored>
void attend_token(const float* queries, const CacheLayer& cache, const Places& places,
                  const AttentionShape& shape, int64_t t, int64_t kv_head, float* out,
                  int64_t out_stride, std::vector<float>& scratch) {
    const int64_t groups = shape.heads / shape.kv_heads;
    const int32_t* table = places.tables + places.row_of[t] * places.table_width;
    for (int64_t g = 0; g < groups;) {
        const int64_t head = kv_head * groups + g, left = groups - g;
        const auto kernel = left >= 4   ? attend_heads<4, Stored>
                            : left == 3 ? attend_heads<3, Stored>
                            : left == 2 ? attend_heads<2, Stored>
                                        : attend_heads<1, Stored>;
        kernel(queries + head * shape.key_width, cache, table, places.visible[t],
               shape.slopes ? shape.slopes + head : nullptr, shape, kv_head,
               out + t * out_stride + head * shape.value_width, scratch);
        g += std::min<int64_t>(left, 4);
    }
}

template <typename Stored>
inline Stored rounded(float x, float per_scale);
template <>
inline float rounded<float>(float x, float) { return x; }
template <>
inline Bfloat16 rounded<Bfloat16>(float x, float) { return to_bfloat16(x); }
template <>
inline int8_t rounded<int8_t>(float x, float per_scale) {
    return int8_t(std::lrintf(x * per_scale));
}

// The factor to multiply a vector with before rounding, 127 / its largest; its inverse is stored.
template <typename Stored>
inline float choose_scale(const float* x, int64_t width, float* scale) {
    if (!scale) return 1.0f;
    float largest = 0;
    for (int64_t e = 0; e < width; ++e) largest = std::max(largest, std::fabs(x[e]));
    *scale = largest / 127.0f;
    return largest > 0 ? 127.0f / largest : 0.0f;
}

// Stores the key and value of one token and kv head in its slot.
template <typename Stored>
void store_token(const CacheLayer& cache, const AttentionShape& shape, int64_t slot,
                 int64_t kv_head, const float* key, const float* value) {
    const int64_t block = slot / BLOCK * shape.kv_heads + kv_head, at = slot % BLOCK;
    const int64_t scale_at = block * BLOCK + at;
    float* key_scale = cache.key_scales ? cache.key_scales + scale_at : nullptr;
    const float per_key = choose_scale<Stored>(key, shape.key_width, key_scale);
    Stored* keys = static_cast<Stored*>(cache.keys) + block * shape.key_width * BLOCK + at;
    for (int64_t e = 0; e < shape.key_width; ++e)
        keys[e * BLOCK] = rounded<Stored>(key[e], per_key);
    if (!cache.values) return;
    float* value_scale = cache.value_scales ? cache.value_scales + scale_at : nullptr;
    const float per_value = choose_scale<Stored>(value, shape.value_width, value_scale);
    Stored* values = static_cast<Stored*>(cache.values) + scale_at * shape.value_width;
    for (int64_t f = 0; f < shape.value_width; ++f)
        values[f] = rounded<Stored>(value[f], per_value);
}

}  // namespace

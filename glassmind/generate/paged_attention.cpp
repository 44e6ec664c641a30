// Attention over a paged KV cache: the loops of paged_attention.py's formula, for CPUs.
//
// A sequence's keys and values lie in blocks of BLOCK tokens that need not be neighbours; its row
// of `tables` names them in order. Every query token and kv head is worked on by itself, so what
// comes out for one sequence does not depend, to the bit, on what else is in the batch.
//
//   keys    (blocks, K, E, BLOCK)   a block's keys lie transposed: one load serves BLOCK positions
//   values  (blocks, K, BLOCK, F)
//   queries (T, H, E), out (T, H, F), H = K * groups; row_of, visible (T)
//
// Compiled once by kernel_build.py with a plain C++ compiler; nothing of PyTorch is included.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int BLOCK = 16;

struct Bfloat16 {
    uint16_t bits;
};

// WIDE numbers at once (GCC's and Clang's vector extension); need not be aligned in memory.
constexpr int WIDE = 8, HALVES = BLOCK / WIDE;
typedef float Lanes __attribute__((vector_size(WIDE * 4), aligned(4)));
typedef int32_t IntLanes __attribute__((vector_size(WIDE * 4), aligned(4)));
typedef uint16_t HalfLanes __attribute__((vector_size(WIDE * 2), aligned(2)));

inline float load(float x) { return x; }
inline float load(Bfloat16 x) {
    const uint32_t wide = uint32_t(x.bits) << 16;
    float result;
    std::memcpy(&result, &wide, 4);
    return result;
}
inline Lanes load_lanes(const float* x) { return *reinterpret_cast<const Lanes*>(x); }
inline Lanes load_lanes(const Bfloat16* x) {
    const auto half = *reinterpret_cast<const HalfLanes*>(x);
    return reinterpret_cast<Lanes>(__builtin_convertvector(half, IntLanes) << 16);
}
inline Lanes& lanes(float* x) { return *reinterpret_cast<Lanes*>(x); }
inline Lanes lanes(const float* x) { return *reinterpret_cast<const Lanes*>(x); }

inline float sum(Lanes x) {
    float total = 0;
    for (int p = 0; p < WIDE; ++p) total += x[p];
    return total;
}

// exp(x) for x <= 0 to about 1e-7: 2^n by the exponent's bits times a polynomial (Cephes' expf).
inline Lanes exp_below_zero(Lanes x) {
    x = x < -87.0f ? Lanes{} - 87.0f : x;  // what is no number stays none
    const IntLanes n = __builtin_convertvector(x * 1.44269504f - 0.5f, IntLanes);
    const Lanes whole = __builtin_convertvector(n, Lanes);
    const Lanes r = x - whole * 0.693359375f - whole * -2.12194440e-4f;
    Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * reinterpret_cast<Lanes>((n + 127) << 23);
}

// M queries against the BLOCK keys of one block: scores[m][0..BLOCK).
template <int M, typename Stored>
inline void block_scores(const float* const* queries, const Stored* keys, int64_t width,
                         float* const* scores) {
    Lanes sums[M][HALVES] = {};
    for (int64_t e = 0; e < width; ++e)
        for (int h = 0; h < HALVES; ++h) {
            const Lanes key = load_lanes(keys + e * BLOCK + h * WIDE);
            for (int m = 0; m < M; ++m) sums[m][h] += queries[m][e] * key;
        }
    for (int m = 0; m < M; ++m)
        for (int h = 0; h < HALVES; ++h) lanes(scores[m] + h * WIDE) = sums[m][h];
}

// Values of `count` positions of one block, weighted, added to M outputs.
template <int M, typename Stored>
inline void add_values(const float* const* weights, const Stored* values, int count, int64_t width,
                       float* const* out) {
    int64_t f = 0;
    for (; f + BLOCK <= width; f += BLOCK) {
        Lanes sums[M][HALVES];
        for (int m = 0; m < M; ++m)
            for (int h = 0; h < HALVES; ++h) sums[m][h] = lanes(out[m] + f + h * WIDE);
        for (int p = 0; p < count; ++p)
            for (int h = 0; h < HALVES; ++h) {
                const Lanes value = load_lanes(values + p * width + f + h * WIDE);
                for (int m = 0; m < M; ++m) sums[m][h] += weights[m][p] * value;
            }
        for (int m = 0; m < M; ++m)
            for (int h = 0; h < HALVES; ++h) lanes(out[m] + f + h * WIDE) = sums[m][h];
    }
    for (; f < width; ++f)
        for (int m = 0; m < M; ++m)
            for (int p = 0; p < count; ++p) out[m][f] += weights[m][p] * load(values[p * width + f]);
}

// The same where keys serve as values too (latent attention): a key's numbers lie BLOCK apart.
template <int M, typename Stored>
inline void add_keys(const float* const* weights, const Stored* keys, int64_t width,
                     float* const* out) {
    for (int64_t f = 0; f < width; ++f) {
        for (int h = 0; h < HALVES; ++h) {
            const Lanes key = load_lanes(keys + f * BLOCK + h * WIDE);
            for (int m = 0; m < M; ++m) out[m][f] += sum(lanes(weights[m] + h * WIDE) * key);
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

struct Shape {
    int64_t heads, kv_heads, key_width, value_width, window;
    float scale;
};

// M heads of one kv head, for one token.
template <int M, typename Stored>
void attend(const float* queries, const Stored* keys, const Stored* values, const int32_t* table,
            int64_t visible, const float* slopes, const Shape& shape, int64_t kv_head, float* out,
            std::vector<float>& scratch) {
    const int64_t first = shape.window ? std::max<int64_t>(0, visible - shape.window) : 0;
    const int64_t first_block = first / BLOCK, end_block = (visible + BLOCK - 1) / BLOCK;
    const int64_t room = (end_block - first_block) * BLOCK;
    scratch.resize(M * (room + shape.key_width));
    const float* query[M];
    float* row[M];
    float* result[M];
    for (int m = 0; m < M; ++m) {
        float* scaled = scratch.data() + M * room + m * shape.key_width;
        for (int64_t e = 0; e < shape.key_width; ++e)
            scaled[e] = queries[m * shape.key_width + e] * shape.scale;
        query[m] = scaled;
        row[m] = scratch.data() + m * room;
        result[m] = out + m * shape.value_width;
    }
    for (int64_t b = first_block; b < end_block; ++b) {
        float* part[M];
        for (int m = 0; m < M; ++m) part[m] = row[m] + (b - first_block) * BLOCK;
        const int64_t block = int64_t(table[b]) * shape.kv_heads + kv_head;
        block_scores<M>(query, keys + block * shape.key_width * BLOCK, shape.key_width, part);
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
        for (int m = 0; m < M; ++m) weight[m] = row[m] + (b - first_block) * BLOCK;
        const int64_t block = int64_t(table[b]) * shape.kv_heads + kv_head;
        const int count = int(std::min<int64_t>(BLOCK, visible - b * BLOCK));
        if (values)
            add_values<M>(weight, values + block * BLOCK * shape.value_width, count,
                          shape.value_width, result);
        else
            add_keys<M>(weight, keys + block * BLOCK * shape.key_width, shape.key_width, result);
    }
}

template <typename Stored>
void attend_all(const float* queries, const Stored* keys, const Stored* values,
                const int32_t* tables, int64_t table_width, const int32_t* row_of,
                const int32_t* visible, int64_t tokens, const float* slopes, const Shape& shape,
                float* out) {
    const int64_t groups = shape.heads / shape.kv_heads;
#pragma omp parallel
    {
        std::vector<float> scratch;
#pragma omp for collapse(2) schedule(dynamic, 4)
        for (int64_t t = 0; t < tokens; ++t)
            for (int64_t k = 0; k < shape.kv_heads; ++k) {
                const int32_t* table = tables + row_of[t] * table_width;
                for (int64_t g = 0; g < groups;) {
                    const int64_t head = k * groups + g;
                    const float* q = queries + (t * shape.heads + head) * shape.key_width;
                    float* y = out + (t * shape.heads + head) * shape.value_width;
                    const float* slope = slopes ? slopes + head : nullptr;
                    const int64_t left = groups - g;
                    const auto kernel = left >= 4   ? attend<4, Stored>
                                        : left == 3 ? attend<3, Stored>
                                        : left == 2 ? attend<2, Stored>
                                                    : attend<1, Stored>;
                    kernel(q, keys, values, table, visible[t], slope, shape, k, y, scratch);
                    g += std::min<int64_t>(left, 4);
                }
            }
    }
}

template <typename Stored>
void store_all(Stored* keys, Stored* values, const Stored* new_keys, const Stored* new_values,
               const int64_t* slots, int64_t tokens, int64_t kv_heads, int64_t key_width,
               int64_t value_width) {
#pragma omp parallel for if (tokens > 64)
    for (int64_t t = 0; t < tokens; ++t) {
        const int64_t block = slots[t] / BLOCK, at = slots[t] % BLOCK;
        for (int64_t k = 0; k < kv_heads; ++k) {
            Stored* key = keys + (block * kv_heads + k) * key_width * BLOCK + at;
            const Stored* from = new_keys + (t * kv_heads + k) * key_width;
            for (int64_t e = 0; e < key_width; ++e) key[e * BLOCK] = from[e];
            if (values)
                std::memcpy(values + ((block * kv_heads + k) * BLOCK + at) * value_width,
                            new_values + (t * kv_heads + k) * value_width,
                            value_width * sizeof(Stored));
        }
    }
}

}  // namespace

#define INTERFACE(Stored, name)                                                                   \
    extern "C" void paged_store_##name(Stored* keys, Stored* values, const Stored* new_keys,      \
                                       const Stored* new_values, const int64_t* slots,            \
                                       int64_t tokens, int64_t kv_heads, int64_t key_width,       \
                                       int64_t value_width) {                                     \
        store_all(keys, values, new_keys, new_values, slots, tokens, kv_heads, key_width,         \
                  value_width);                                                                   \
    }                                                                                             \
    extern "C" void paged_attend_##name(const float* queries, const Stored* keys,                 \
                                        const Stored* values, const int32_t* tables,              \
                                        int64_t table_width, const int32_t* row_of,               \
                                        const int32_t* visible, int64_t tokens,                   \
                                        const float* slopes, int64_t heads, int64_t kv_heads,     \
                                        int64_t key_width, int64_t value_width, int64_t window,   \
                                        float scale, float* out) {                                \
        attend_all(queries, keys, values, tables, table_width, row_of, visible, tokens, slopes,   \
                   Shape{heads, kv_heads, key_width, value_width, window, scale}, out);           \
    }

INTERFACE(float, float32)
INTERFACE(Bfloat16, bfloat16)

// The functions that Python calls (native_calls.py). They take plain pointers and counts.
//
// Compiled once by a plain C++ compiler, without any headers of PyTorch.

#include "decode_run.hpp"

namespace {

enum StoredAs : int64_t { STORED_FLOAT32, STORED_BFLOAT16, STORED_INT8 };

template <typename Stored>
void attend_all(const float* queries, const CacheLayer& cache, const Places& places,
                int64_t tokens, const AttentionShape& shape, float* out) {
#pragma omp parallel
    {
        std::vector<float> scores;
#pragma omp for collapse(2) schedule(dynamic, 4)
        for (int64_t t = 0; t < tokens; ++t)
            for (int64_t h = 0; h < shape.kv_heads; ++h)
                attend_token<Stored>(queries + t * shape.heads * shape.key_width, cache, places,
                                     shape, t, h, out, shape.heads * shape.value_width, scores);
    }
}

template <typename Stored>
void store_all(const CacheLayer& cache, const AttentionShape& shape, const float* keys,
               const float* values, const int64_t* slots, int64_t tokens) {
    const int64_t key_row = shape.kv_heads * shape.key_width;
    const int64_t value_row = shape.kv_heads * shape.value_width;
#pragma omp parallel for if (tokens > 64)
    for (int64_t t = 0; t < tokens; ++t)
        for (int64_t h = 0; h < shape.kv_heads; ++h)
            store_token<Stored>(cache, shape, slots[t], h,
                                keys + t * key_row + h * shape.key_width,
                                values + t * value_row + h * shape.value_width);
}

}  // namespace

extern "C" {

// queries (tokens, H, E), out (tokens, H, F)
void paged_attend(int64_t stored, const float* queries, const CacheLayer* cache,
                  const Places* places, int64_t tokens, const AttentionShape* shape, float* out) {
    const auto kernel = stored == STORED_FLOAT32    ? attend_all<float>
                        : stored == STORED_BFLOAT16 ? attend_all<Bfloat16>
                                                    : attend_all<int8_t>;
    kernel(queries, *cache, *places, tokens, *shape, out);
}

// keys (tokens, K, E), values (tokens, K, F) or none
void paged_store(int64_t stored, const CacheLayer* cache, const AttentionShape* shape,
                 const float* keys, const float* values, const int64_t* slots, int64_t tokens) {
    const auto kernel = stored == STORED_FLOAT32    ? store_all<float>
                        : stored == STORED_BFLOAT16 ? store_all<Bfloat16>
                                                    : store_all<int8_t>;
    kernel(*cache, *shape, keys, values, slots, tokens);
}

// rows (n_rows, stride), out (n_rows, outputs)
void multiply_matrix(const Matrix* matrix, const float* rows, int64_t stride, int64_t n_rows,
                     float* out) {
    static thread_local WholeRows room;
    room.make_room(n_rows, stride);
    WholeRows& whole = room;
#pragma omp parallel
    multiply_all(*matrix, Rows{rows, stride, n_rows}, whole,
                 [&](int64_t row, int64_t first, int64_t count, const float* sums) {
                     std::copy(sums, sums + count, out + row * matrix->outputs + first);
                 });
}

// x (tokens, d_model), in place; positions (tokens)
void decode_tokens(int64_t stored, const Decoder* model, const CacheLayer* caches,
                   const Places* places, const int64_t* positions, int64_t tokens, float* x) {
    const auto kernel = stored == STORED_FLOAT32    ? decode<float>
                        : stored == STORED_BFLOAT16 ? decode<Bfloat16>
                                                    : decode<int8_t>;
    kernel(*model, caches, *places, positions, tokens, x);
}

// logits (rows, vocab), steps (rows): how many tokens each row has drawn before
void draw_tokens(const float* logits, int64_t vocab, const Choice* choices, const int64_t* steps,
                 int64_t n_rows, Drawn* out) {
    draw_all(
        logits, vocab, n_rows, [&](int64_t r) { return std::make_pair(choices + r, steps[r]); },
        [&](int64_t r, const Drawn& drawn) { out[r] = drawn; });
}

void decode_run(int64_t stored, Run* run) {
    const auto kernel = stored == STORED_FLOAT32    ? decode_ahead<float>
                        : stored == STORED_BFLOAT16 ? decode_ahead<Bfloat16>
                                                    : decode_ahead<int8_t>;
    kernel(*run);
}
}

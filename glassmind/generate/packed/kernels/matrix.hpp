// A batch of rows times a matrix whose weights take 32, 16, 8 or 4 bits.
//
// The work is divided by panels and rows, never within a sum, and every sum adds in the order of
// the inputs: the result of a row does not depend, to the bit, on the rest of the batch.
//
// With few rows, reading the weights from memory takes most of the time, and small weights are read
// faster. With many rows, multiplying takes most of it.
#pragma once

#include "float_matrix.hpp"
#include "integer_matrix.hpp"

namespace {

// All threads of a parallel region must call it; it ends with a barrier.
// write(row, first output, number of outputs, sums) gets each result once, biases added.
template <typename Kernel, typename Write>
void multiply_all(const Matrix& matrix, const Rows& rows, WholeRows& whole, const Write& write) {
    const Kernel kernel(rows, whole, matrix.inputs);
    const int64_t bytes = kernel.bytes(), n_panels = matrix.n_pairs() * PAIR;
    const auto finish = [&](float* sums, int64_t row, int64_t panel) {
        const int64_t first = panel * PANEL;
        const int64_t count = std::min<int64_t>(PANEL, matrix.outputs - first);
        if (count <= 0) return;  // padding of the last pair
        if (matrix.bias)
            for (int64_t i = 0; i < count; ++i) sums[i] += matrix.bias[first + i];
        write(row, first, count, sums);
    };
    alignas(64) float sums[TILE * PANEL];
    if (rows.count <= 3) {
        const auto run = [&](auto count, auto panels, int64_t at) {
            constexpr int M = decltype(count)::value, P = decltype(panels)::value;
            kernel.template few<M, P>(matrix.panels + at * bytes, sums);
            for (int m = 0; m < M; ++m)
                for (int p = 0; p < P; ++p) finish(sums + (m * P + p) * PANEL, m, at + p);
        };
        const std::integral_constant<int, PAIR> pair;
        const std::integral_constant<int, SIDE> side;
        // Shares by hand, so that all threads but one can have whole sides.
        const int64_t n_threads = omp_get_num_threads(), thread = omp_get_thread_num();
        const int64_t end = matrix.n_pairs() * (thread + 1) / n_threads * PAIR;
        int64_t at = matrix.n_pairs() * thread / n_threads * PAIR;
        if (rows.count == 1) {
            const std::integral_constant<int, 1> one;
            for (; at + SIDE <= end; at += SIDE) run(one, side, at);
            for (; at < end; at += PAIR) run(one, pair, at);
        } else if (rows.count == 2) {
            for (; at < end; at += PAIR) run(std::integral_constant<int, 2>(), pair, at);
        } else {
            for (; at < end; at += PAIR) run(std::integral_constant<int, 3>(), pair, at);
        }
#pragma omp barrier
        return;
    }
    const int64_t n_tiles = (rows.count + TILE - 1) / TILE;
#pragma omp for collapse(2) schedule(static)
    for (int64_t tile = 0; tile < n_tiles; ++tile)
        for (int64_t panel = 0; panel < n_panels; ++panel) {
            const int64_t first = tile * TILE, count = std::min<int64_t>(TILE, rows.count - first);
            kernel.many(first, count, matrix.panels + panel * bytes, sums);
            for (int64_t m = 0; m < count; ++m) finish(sums + m * PANEL, first + m, panel);
        }
}

template <typename Write>
void multiply_all(const Matrix& matrix, const Rows& rows, WholeRows& whole, const Write& write) {
    switch (Format(matrix.format)) {
        case FLOAT32: return multiply_all<FloatKernel<float>>(matrix, rows, whole, write);
        case BFLOAT16: return multiply_all<FloatKernel<Bfloat16>>(matrix, rows, whole, write);
        case INT8: return multiply_all<IntegerKernel<8>>(matrix, rows, whole, write);
        case INT4: return multiply_all<IntegerKernel<4>>(matrix, rows, whole, write);
    }
}

}  // namespace

// What all kinds of matrices have in common: panels of outputs, and the rows of a batch.
//
// A matrix (N outputs, K inputs) is stored in *panels* of PANEL outputs. A panel has, input after
// input, its PANEL weights. Sums stay in registers while a row is multiplied with a panel.
#pragma once

#include "lanes.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

#ifndef _OPENMP
inline int omp_get_num_threads() { return 1; }
inline int omp_get_thread_num() { return 0; }
#endif

constexpr int PANEL = 16;   // outputs of a panel: a pair of lanes
constexpr int GROUP = 32;   // inputs that share a scale
constexpr int PIECE = 256;  // inputs unpacked at a time: 16 KiB, which the nearest cache holds
constexpr int ROWS = 6;     // rows at once: 12 sums, 2 weights and 1 input fill 16 registers
constexpr int SIDE = 4;     // panels side by side for a single row: 8 sums hide an addition's wait
constexpr int PAIR = 2;     // panels side by side for two or three; what a matrix is made up of
constexpr int TILE = 32 * ROWS;  // rows multiplied with a panel together; they stay in the cache

enum Format : int64_t { FLOAT32, BFLOAT16, INT8, INT4 };

struct Matrix {
    const char* panels;
    const float* bias;  // or none
    int64_t inputs, outputs, format;  // inputs: a multiple of GROUP
    int64_t n_pairs() const { return (outputs + PAIR * PANEL - 1) / (PAIR * PANEL); }
};

// The rows of a batch, `stride` numbers each, zeros where a row is shorter than its matrix reads.
struct Rows {
    const float* numbers;
    int64_t stride, count;
};

// The same in whole numbers of 16 bits: number = whole * scale, one scale a GROUP.
struct WholeRows {
    std::vector<int16_t> numbers;
    std::vector<float> scales, sums;  // sums of a GROUP's whole numbers

    void make_room(int64_t count, int64_t width) {
        if (numbers.size() >= size_t(count * width)) return;
        numbers.resize(count * width);
        scales.resize(count * width / GROUP);
        sums.resize(count * width / GROUP);
    }
};

// `kernel` for as many rows as there are, at most ROWS: the count has to be known when compiling.
template <typename Kernel>
inline void with_rows(int64_t n_rows, const Kernel& kernel) {
    switch (n_rows) {
        case 1: return kernel(std::integral_constant<int, 1>());
        case 2: return kernel(std::integral_constant<int, 2>());
        case 3: return kernel(std::integral_constant<int, 3>());
        case 4: return kernel(std::integral_constant<int, 4>());
        case 5: return kernel(std::integral_constant<int, 5>());
        case 6: return kernel(std::integral_constant<int, ROWS>());
    }
}

}  // namespace

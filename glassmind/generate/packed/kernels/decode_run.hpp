// Several decode steps in one call: embed, all blocks, logits, draw, and again for the rows that
// have not ended. decode_run.py prepares it, and sees to it that every row has its cache blocks.
#pragma once

#include <chrono>

#include "decoder.hpp"
#include "sampling.hpp"

namespace {

struct Embedding {
    const float* table;     // (vocab, d_model); or none, and then
    const Matrix* matrix;   // of floats, with an output for each token
    const float* positions; // (max_tokens, d_model), added; or none
    float scale;
};

// A sample on its way. `length` tokens of it are known, of which all but the last, `token`, are in
// the cache; `prompt` of them were not drawn. It ends when there are `limit`, or after a stop token.
struct RunRow {
    int64_t row, length, prompt, limit, token;
    int64_t n_drawn, finish;
};

enum Finish : int64_t { NOT_FINISHED, STOPPED, FULL };

struct Run {
    const Decoder* model;
    const CacheLayer* caches;
    const int32_t* tables;
    int64_t table_width;
    Embedding embedding;
    const Matrix* unembed;
    RunRow* rows;
    const Choice* choices;
    const int64_t* stops;
    Drawn* drawn;  // (rows, most_steps)
    int64_t n_rows, most_steps;
    double seconds;       // no further step begins after so many
    double model_seconds; // how many of them the model took, without the draw
};

inline double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

inline void embed(const Embedding& from, int64_t token, int64_t position, int64_t width,
                  float* out) {
    if (from.table) {
        for (int64_t i = 0; i < width; ++i) out[i] = from.table[token * width + i] * from.scale;
    } else {
        const int64_t first = token / PANEL * from.matrix->inputs * PANEL + token % PANEL;
        const auto copy = [&](auto* weights) {
            for (int64_t i = 0; i < width; ++i)
                out[i] = load(weights[first + i * PANEL]) * from.scale;
        };
        if (from.matrix->format == FLOAT32)
            copy(reinterpret_cast<const float*>(from.matrix->panels));
        else
            copy(reinterpret_cast<const Bfloat16*>(from.matrix->panels));
    }
    if (from.positions)
        for (int64_t i = 0; i < width; ++i) out[i] += from.positions[position * width + i];
}

// x (tokens, d_model) -> logits (tokens, vocab)
struct Unembedding {
    std::vector<float> padded_rows;
    WholeRows whole;

    void operator()(const Matrix& matrix, const float* x, int64_t width, int64_t tokens,
                    float* logits) {
        const int64_t stride = matrix.inputs;
        if (stride != width) {
            padded_rows.assign(size_t(tokens * stride), 0.0f);
            for (int64_t t = 0; t < tokens; ++t)
                std::copy(x + t * width, x + (t + 1) * width, padded_rows.data() + t * stride);
            x = padded_rows.data();
        }
        whole.make_room(tokens, stride);
#pragma omp parallel
        multiply_all(matrix, Rows{x, stride, tokens}, whole,
                     [&](int64_t t, int64_t first, int64_t count, const float* sums) {
                         std::copy(sums, sums + count, logits + t * matrix.outputs + first);
                     });
    }
};

// write(r, drawn) gets the next token of each row of logits (rows, vocab). choice_and_step(r): how to
// choose it, and how many the row has drawn before.
template <typename ChoiceAndStep, typename Write>
void draw_all(const float* logits, int64_t vocab, int64_t n_rows,
              const ChoiceAndStep& choice_and_step,
              const Write& write) {
#pragma omp parallel
    {
        static thread_local std::vector<float> room;
        if (room.size() < size_t(3 * vocab)) room.resize(3 * vocab);
#pragma omp for schedule(static)
        for (int64_t r = 0; r < n_rows; ++r) {
            const auto [choice, step] = choice_and_step(r);
            write(r, draw(logits + r * vocab, vocab, *choice, step, room.data()));
        }
    }
}

inline bool stops(const Run& run, const Choice& choice, int64_t token) {
    const int64_t* first = run.stops + choice.first_stop;
    return std::find(first, first + choice.n_stops, token) != first + choice.n_stops;
}

// Rows whose logits are in memory at once: those of all would be many times what the model takes.
constexpr int64_t DRAWN_AT_ONCE = TILE;

// What is kept from run to run, so that memory need not be asked for.
struct RunRoom {
    std::vector<int64_t> alive, slots, positions;
    std::vector<int32_t> row_of, visible;
    std::vector<float> x, logits;
    Unembedding unembed;

    void arrange(int64_t rows, int64_t width, int64_t vocab) {
        alive.resize(rows), slots.resize(rows), positions.resize(rows);
        row_of.resize(rows), visible.resize(rows);
        x.resize(rows * width), logits.resize(std::min(rows, DRAWN_AT_ONCE) * vocab);
    }
};

// Embeds the last token of every row that is alive, and runs all blocks: room.x is what they say.
template <typename Stored>
void read_last_tokens(const Run& run, RunRoom& room) {
    const int64_t width = run.model->d_model;
    const auto n = int64_t(room.alive.size());
    for (int64_t i = 0; i < n; ++i) {
        const RunRow& row = run.rows[room.alive[i]];
        const int64_t at = row.length - 1;
        const int64_t block = run.tables[row.row * run.table_width + at / BLOCK];
        room.positions[i] = at;
        room.row_of[i] = int32_t(row.row), room.visible[i] = int32_t(row.length);
        room.slots[i] = block * BLOCK + at % BLOCK;
        embed(run.embedding, row.token, at, width, room.x.data() + i * width);
    }
    const Places places{run.tables, run.table_width, room.row_of.data(), room.visible.data(),
                        room.slots.data()};
    decode<Stored>(*run.model, run.caches, places, room.positions.data(), n, room.x.data());
}

// The drawn token becomes the row's last.
inline void append(const Run& run, int64_t at, const Drawn& drawn) {
    RunRow& row = run.rows[at];
    run.drawn[at * run.most_steps + row.n_drawn++] = drawn;
    row.token = drawn.token, ++row.length;
    if (drawn.logprob != drawn.logprob || stops(run, run.choices[at], drawn.token))
        row.finish = STOPPED;
    else if (row.length == row.limit)
        row.finish = FULL;
}

template <typename Stored>
void decode_ahead(Run& run) {
    static thread_local RunRoom room_of_thread;
    RunRoom& room = room_of_thread;  // other threads of a parallel region have one, too
    const int64_t width = run.model->d_model, vocab = run.unembed->outputs;
    const double began = now();
    room.arrange(run.n_rows, width, vocab);
    for (int64_t i = 0; i < run.n_rows; ++i) room.alive[i] = i;
    for (int64_t step = 0; step < run.most_steps && !room.alive.empty(); ++step) {
        double step_began = now();
        if (step && step_began - began > run.seconds) break;
        read_last_tokens<Stored>(run, room);
        const auto n = int64_t(room.alive.size());
        for (int64_t first = 0; first < n; first += DRAWN_AT_ONCE) {
            const int64_t count = std::min(DRAWN_AT_ONCE, n - first);
            const int64_t* alive = room.alive.data() + first;
            room.unembed(*run.unembed, room.x.data() + first * width, width, count,
                         room.logits.data());
            run.model_seconds += now() - step_began;
            draw_all(
                room.logits.data(), vocab, count,
                [&](int64_t i) {
                    const RunRow& row = run.rows[alive[i]];
                    return std::make_pair(run.choices + alive[i], row.length - row.prompt);
                },
                [&](int64_t i, const Drawn& drawn) { append(run, alive[i], drawn); });
            step_began = now();
        }
        const auto ended = [&](int64_t i) { return run.rows[i].finish != NOT_FINISHED; };
        room.alive.erase(std::remove_if(room.alive.begin(), room.alive.end(), ended),
                         room.alive.end());
    }
}

}  // namespace

/* What the C translation of a random kernel stands on: the memories of one DPU, views, and tasklets as coroutines.
   A value is an int64_t, as in a kernel. A fault stops the DPU and says where: __LINE__ is that of the kernel's Python.
   Tasklets run in turn, each until it waits, which is the order of both engines. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { DIVISION_BY_ZERO = 2, ASSERT = 3, HALT = 4, WRAM_INDEX = 21, WINDOW = 24, DEADLOCK = 31 };
enum { MAX_TASKLETS = 24, STACK_BYTES = 1 << 18 };
enum { RUNNABLE, AT_BARRIER, FINISHED };

typedef struct { uint8_t *first; int64_t length; } view;

static uint8_t *wram, *mram;
static int64_t heap, nr_tasklets, running, arrived, *fault_of_dpu;
static int state[MAX_TASKLETS];
static ucontext_t scheduler, coroutine[MAX_TASKLETS];

static void fault(int64_t code, int line, int64_t a, int64_t b, int64_t c)
{
    int64_t found[] = {code, running, line, a, b, c};
    memcpy(fault_of_dpu, found, sizeof found);
    swapcontext(&coroutine[running], &scheduler); /* never to come back */
}

static int64_t floor_quotient(int64_t a, int64_t b, int line)
{
    if (b == 0)
        fault(DIVISION_BY_ZERO, line, 0, 0, 0);
    if (b == -1)
        return -a; /* the one quotient that overflows would trap */
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t floor_remainder(int64_t a, int64_t b, int line)
{
    if (b == 0)
        fault(DIVISION_BY_ZERO, line, 0, 0, 0);
    if (b == -1)
        return 0;
    int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static void check_index(int64_t index, view v, int line)
{
    if (index < 0 || index >= v.length)
        fault(WRAM_INDEX, line, index, v.length, v.length - 1);
}

static view window(view v, int64_t first, int64_t length, int itemsize, int line)
{
    if (first < 0 || first > v.length || length < 0 || length > v.length - first)
        fault(WINDOW, line, first, length, v.length);
    return (view){v.first + first * itemsize, length};
}

static view wram_view(int64_t address, int64_t length) { return (view){wram + address, length}; }

static view mem_alloc(int64_t length, int itemsize)
{
    heap = (heap + 7) & -8;
    view v = {wram + heap, length};
    heap += length * itemsize;
    return v;
}

static void mram_read(int64_t from, view to, int64_t nr_bytes) { memcpy(to.first, mram + from, nr_bytes); }
static void mram_write(view from, int64_t to, int64_t nr_bytes) { memcpy(mram + to, from.first, nr_bytes); }

static void assert_that(int64_t condition, int line)
{
    if (!condition)
        fault(ASSERT, line, 0, 0, 0);
}

static void pause_here(void) { swapcontext(&coroutine[running], &scheduler); }

static void barrier_wait(void)
{
    state[running] = AT_BARRIER;
    if (++arrived == nr_tasklets) {
        arrived = 0;
        for (int i = 0; i < nr_tasklets; i++)
            state[i] = RUNNABLE;
    }
    pause_here();
}

#define TYPE(T, U, BITS, SIGNED)                                                                              \
    static int64_t load_##T(view v, int64_t i, int line)                                                      \
    {                                                                                                         \
        T##_t x;                                                                                              \
        check_index(i, v, line);                                                                              \
        memcpy(&x, v.first + i * sizeof x, sizeof x);                                                         \
        return (int64_t)x;                                                                                    \
    }                                                                                                         \
    static void store_##T(view v, int64_t i, int64_t value, int line)                                         \
    {                                                                                                         \
        T##_t x = (T##_t)value;                                                                               \
        check_index(i, v, line);                                                                              \
        memcpy(v.first + i * sizeof x, &x, sizeof x);                                                         \
    }                                                                                                         \
    static int64_t add_##T(int64_t a, int64_t b) { return (T##_t)((U##_t)a + (U##_t)b); }                     \
    static int64_t sub_##T(int64_t a, int64_t b) { return (T##_t)((U##_t)a - (U##_t)b); }                     \
    static int64_t mul_##T(int64_t a, int64_t b) { return (T##_t)((uint64_t)(T##_t)a * (uint64_t)(T##_t)b); } \
    static int64_t neg_##T(int64_t a) { return (T##_t)(0 - (U##_t)a); }                                       \
    static int64_t less_##T(int64_t a, int64_t b) { return (T##_t)a < (T##_t)b; }                             \
    static int64_t div_##T(int64_t a, int64_t b, int line)                                                    \
    {                                                                                                         \
        T##_t x = (T##_t)a, y = (T##_t)b;                                                                     \
        if (y == 0)                                                                                           \
            fault(DIVISION_BY_ZERO, line, 0, 0, 0);                                                           \
        return SIGNED && y == (T##_t)-1 ? neg_##T(a) : (int64_t)(T##_t)(x / y);                               \
    }                                                                                                         \
    static int64_t rem_##T(int64_t a, int64_t b, int line)                                                    \
    {                                                                                                         \
        T##_t x = (T##_t)a, y = (T##_t)b;                                                                     \
        if (y == 0)                                                                                           \
            fault(DIVISION_BY_ZERO, line, 0, 0, 0);                                                           \
        return SIGNED && y == (T##_t)-1 ? 0 : (int64_t)(T##_t)(x % y);                                        \
    }                                                                                                         \
    static int64_t shl_##T(int64_t a, int64_t n)                                                              \
    {                                                                                                         \
        return (T##_t)((uint64_t)(T##_t)a << (n & (BITS == 64 ? 63 : 31)));                                   \
    }                                                                                                         \
    static int64_t shr_##T(int64_t a, int64_t n)                                                              \
    {                                                                                                         \
        int by = n & (BITS == 64 ? 63 : 31);                                                                  \
        return SIGNED ? (int64_t)(T##_t)a >> by : (int64_t)((uint64_t)(U##_t)a >> by);                        \
    }                                                                                                         \
    static int64_t clz_##T(int64_t a) { return (U##_t)a ? __builtin_clzll((U##_t)a) - (64 - BITS) : BITS; }   \
    static int64_t popcount_##T(int64_t a) { return __builtin_popcountll((U##_t)a); }

TYPE(int8, uint8, 8, 1)
TYPE(int16, uint16, 16, 1)
TYPE(int32, uint32, 32, 1)
TYPE(int64, uint64, 64, 1)
TYPE(uint8, uint8, 8, 0)
TYPE(uint16, uint16, 16, 0)
TYPE(uint32, uint32, 32, 0)
TYPE(uint64, uint64, 64, 0)

static void kernel(int64_t me);

static void tasklet(int me)
{
    kernel(me);
    state[me] = FINISHED;
    pause_here();
}

/* Launch on one DPU. fault_at: {code, tasklet, line, three values}, zeros without a fault. */
void launch(uint8_t *wram_of_dpu, uint8_t *mram_of_dpu, int64_t heap_start, int64_t tasklets, int64_t *fault_at)
{
    static char *stacks;
    if (!stacks)
        stacks = malloc((size_t)MAX_TASKLETS * STACK_BYTES);
    wram = wram_of_dpu, mram = mram_of_dpu, heap = heap_start, nr_tasklets = tasklets, arrived = 0;
    fault_of_dpu = fault_at;
    memset(fault_at, 0, 6 * sizeof *fault_at);
    for (int i = 0; i < nr_tasklets; i++) {
        getcontext(&coroutine[i]);
        coroutine[i].uc_stack.ss_sp = stacks + (size_t)i * STACK_BYTES;
        coroutine[i].uc_stack.ss_size = STACK_BYTES;
        coroutine[i].uc_link = &scheduler;
        makecontext(&coroutine[i], (void (*)(void))tasklet, 1, i);
        state[i] = RUNNABLE;
    }
    for (int alive = 1; alive;) {
        int resumed = alive = 0;
        for (int i = 0; i < nr_tasklets; i++) {
            if (state[i] == RUNNABLE) {
                running = i, resumed = 1;
                swapcontext(&scheduler, &coroutine[i]);
                if (fault_at[0])
                    return;
            }
            alive |= state[i] != FINISHED;
        }
        if (alive && !resumed) {
            fault_at[0] = DEADLOCK;
            return;
        }
    }
}

// x [rows, inputs] times 4-bit weights (a float16 scale and zero a group): out [rows, outputs], float16.
//
// Made for few rows, where reading the weights is all that takes time. The weights are the left operand of the
// tensor cores' product, 16 outputs at a time, and the rows the right one, 8 at a time: one row costs an eighth.
// A warp reads 64 outputs of 16 inputs as one stretch of 512 bytes: what a lane needs lies in its 16 bytes, and so it
// does in the rows, as the 32 inputs of two such steps are multiplied in an order that makes it so. A block's warps share the inputs out among them, and so do the blocks of a cluster; sums are put
// together in a fixed order, so that the same input always gives the same output.
//
// Compiled when the engine starts, with: ROW_TILES (of 8 rows), INPUT_WARPS and OUTPUT_WARPS (of a block), CLUSTER
// (blocks along the inputs), BLOCKS (of a multiprocessor, at least), GROUP_STEPS (inputs of a group / 16),
// SCALE_WEIGHTS (1: before they are multiplied, where registers are short; 0: the sums), ZEROS (1: some are not 8;
// then the weights have to be scaled).

#if ROW_TILES <= 2 || GROUP_STEPS < 4
#define AHEAD GROUP_STEPS  // loads of weights under way
#else
#define AHEAD 4
#endif
#define SUMS (4 * ROW_TILES * 4)  // of a lane: outputs / 16, rows / 8, four of each
#define PAIRS (GROUP_STEPS / 2)  // of steps
#if ROW_TILES <= 1
#define PAIRS_AHEAD PAIRS  // loads of rows under way
#elif ROW_TILES <= 4
#define PAIRS_AHEAD (PAIRS < 2 ? PAIRS : 2)
#else
#define PAIRS_AHEAD 1
#endif

__device__ __forceinline__ void multiply(float* sums, const u32* weights, u32 first, u32 second) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "r"(first), "r"(second));
}

extern "C" __global__ void
#if CLUSTER > 1
__cluster_dims__(1, CLUSTER, 1)
#endif
__launch_bounds__(INPUT_WARPS * OUTPUT_WARPS * 32, BLOCKS)
packed_product(const u16* __restrict__ x, const uint4* __restrict__ words, const u16* __restrict__ scales,
               const u16* __restrict__ zeros, u16* __restrict__ out, int rows, int inputs, int outputs) {
  extern __shared__ float shared[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, part = warp % INPUT_WARPS, column = warp / INPUT_WARPS;
  const int tile = blockIdx.x * OUTPUT_WARPS + column, tiles = outputs / 64, first_row = blockIdx.z * ROW_TILES * 8;
  const int eighth = lane >> 2, quarter = lane & 3;
  const int groups = inputs / (16 * GROUP_STEPS), parts = INPUT_WARPS * CLUSTER, mine = blockIdx.y * INPUT_WARPS + part;
  const int first_group = groups * mine / parts, last_group = groups * (mine + 1) / parts;
  const int last = last_group * GROUP_STEPS;
  int step = first_group * GROUP_STEPS;

  const uint4* at = words + ((size_t)step * tiles + tile) * 32 + lane;
  const size_t stride = (size_t)tiles * 32;
  const u16* row_at[ROW_TILES];
#pragma unroll
  for (int t = 0; t < ROW_TILES; t++) {
    int row = first_row + t * 8 + eighth;
    row_at[t] = x + (size_t)(row < rows ? row : rows - 1) * inputs + quarter * 8;  // rows beyond the last are not stored
  }
  uint4 ahead[AHEAD];
#pragma unroll
  for (int i = 0; i < AHEAD; i++) ahead[i] = step + i < last ? stream(at + i * stride) : make_uint4(0, 0, 0, 0);
  at += AHEAD * stride;
  uint4 row_ahead[PAIRS_AHEAD][ROW_TILES];
#pragma unroll
  for (int i = 0; i < PAIRS_AHEAD; i++)
#pragma unroll
    for (int t = 0; t < ROW_TILES; t++)
      row_ahead[i][t] = *(const uint4*)(row_at[t] + (step + 2 * i < last ? step + 2 * i : 0) * 16);

  float total[SUMS];
#pragma unroll
  for (int i = 0; i < SUMS; i++) total[i] = 0.f;
#if SCALE_WEIGHTS
  u16 scale_ahead[8];  // needed at a group's beginning, not at its end
#pragma unroll
  for (int i = 0; i < 8; i++)
    scale_ahead[i] = first_group < last_group
        ? scales[(size_t)first_group * outputs + tile * 64 + eighth + (i >> 1) * 16 + (i & 1) * 8] : 0;
#endif
  for (int group = first_group; group < last_group; group++) {
    const size_t of_group = (size_t)group * outputs + tile * 64 + eighth;
    u16 scale[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
#if SCALE_WEIGHTS
      scale[i] = scale_ahead[i];
      if (group + 1 < last_group) scale_ahead[i] = scales[of_group + outputs + (i >> 1) * 16 + (i & 1) * 8];
#else
      scale[i] = scales[of_group + (i >> 1) * 16 + (i & 1) * 8];
#endif
    }
#if ZEROS
    u32 zero[8];  // less 8
#pragma unroll
    for (int i = 0; i < 8; i++) {
      zero[i] = zeros[of_group + (i >> 1) * 16 + (i & 1) * 8] * 0x10001u;
      asm("sub.f16x2 %0, %0, %1;" : "+r"(zero[i]) : "r"(0x48004800u));
    }
#endif
#if !SCALE_WEIGHTS
    float sums[SUMS];
#pragma unroll
    for (int i = 0; i < SUMS; i++) sums[i] = 0.f;
#else
    float* sums = total;
#endif
    uint4 row[ROW_TILES];
#pragma unroll
    for (int i = 0; i < GROUP_STEPS; i++) {
      const uint4 words_here = ahead[i % AHEAD];
      const u32 word[4] = {words_here.x, words_here.y, words_here.z, words_here.w};
      if (step + AHEAD < last) ahead[i % AHEAD] = stream(at);
      at += stride;
      if (i % 2 == 0) {
#pragma unroll
        for (int t = 0; t < ROW_TILES; t++) {
          row[t] = row_ahead[i / 2 % PAIRS_AHEAD][t];
          if (step + 2 * PAIRS_AHEAD < last)
            row_ahead[i / 2 % PAIRS_AHEAD][t] = *(const uint4*)(row_at[t] + (step + 2 * PAIRS_AHEAD) * 16);
        }
      }
#pragma unroll
      for (int j = 0; j < 4; j++) {
        u32 pairs[4];
        unpack(word[j], pairs);
#if ZEROS
        asm("sub.f16x2 %0, %0, %1;" : "+r"(pairs[0]) : "r"(zero[j * 2]));
        asm("sub.f16x2 %0, %0, %1;" : "+r"(pairs[1]) : "r"(zero[j * 2 + 1]));
        asm("sub.f16x2 %0, %0, %1;" : "+r"(pairs[2]) : "r"(zero[j * 2]));
        asm("sub.f16x2 %0, %0, %1;" : "+r"(pairs[3]) : "r"(zero[j * 2 + 1]));
#endif
#if SCALE_WEIGHTS
        const u32 upper = scale[j * 2] * 0x10001u, lower = scale[j * 2 + 1] * 0x10001u;
        asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(pairs[0]) : "r"(upper));
        asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(pairs[1]) : "r"(lower));
        asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(pairs[2]) : "r"(upper));
        asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(pairs[3]) : "r"(lower));
#endif
#pragma unroll
        for (int t = 0; t < ROW_TILES; t++)
          multiply(sums + (j * ROW_TILES + t) * 4, pairs, i % 2 ? row[t].z : row[t].x, i % 2 ? row[t].w : row[t].y);
      }
      step++;
    }
#if !SCALE_WEIGHTS
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int t = 0; t < ROW_TILES; t++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          const int i = (j * ROW_TILES + t) * 4 + e;
          total[i] += sums[i] * wide(scale[j * 2 + (e >> 1)]);
        }
#endif
  }

  // The warps' sums, halves onto halves.
#pragma unroll
  for (int half = INPUT_WARPS / 2; half > 0; half /= 2) {
    float* place = shared + (column * (INPUT_WARPS / 2) + part % half) * SUMS * 32 + lane;
    if (part >= half && part < 2 * half)
#pragma unroll
      for (int i = 0; i < SUMS; i++) place[i * 32] = total[i];
    __syncthreads();
    if (part < half)
#pragma unroll
      for (int i = 0; i < SUMS; i++) total[i] += place[i * 32];
    __syncthreads();
  }
#if CLUSTER > 1
  float* place = shared + column * SUMS * 32;
  if (part == 0)
#pragma unroll
    for (int i = 0; i < SUMS; i++) place[i * 32 + lane] = total[i];
  cluster_barrier();
  u32 theirs[CLUSTER];
#pragma unroll
  for (u32 rank = 0; rank < CLUSTER; rank++) theirs[rank] = in_block(place + lane, rank);
#pragma unroll 4
  for (int k = blockIdx.y * INPUT_WARPS + part; k < SUMS; k += CLUSTER * INPUT_WARPS) {
    float sum = 0.f;
#pragma unroll
    for (u32 rank = 0; rank < CLUSTER; rank++) sum += of_block(theirs[rank] + k * 32 * 4);
    const int e = k & 3, t = (k >> 2) % ROW_TILES, j = (k >> 2) / ROW_TILES;
    const int to = tile * 64 + j * 16 + (e >> 1) * 8 + eighth, row = first_row + t * 8 + quarter * 2 + (e & 1);
    if (row < rows) out[(size_t)row * outputs + to] = narrow(sum);
  }
  cluster_barrier();  // no block ends while another reads its sums
#else
  if (part == 0)
#pragma unroll
    for (int k = 0; k < SUMS; k++) {
      const int e = k & 3, t = (k >> 2) % ROW_TILES, j = (k >> 2) / ROW_TILES;
      const int to = tile * 64 + j * 16 + (e >> 1) * 8 + eighth, row = first_row + t * 8 + quarter * 2 + (e & 1);
      if (row < rows) out[(size_t)row * outputs + to] = narrow(total[k]);
    }
#endif
}

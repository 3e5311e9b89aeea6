// x [rows, inputs] times 4-bit weights for dozens of rows, on cards with warpgroup products (Hopper).
//
// Of 64 rows at a time, which is one launch's z. The weights are the left operand, unpacked into registers, the rows
// the right one, in shared memory, as the hardware reads it: https://docs.nvidia.com/cuda/parallel-thread-execution,
// "wgmma". A block is one warpgroup and has 256 outputs: each of its warps reads 64 of them, in the order of
// packed_product.cu, and four products do a step. The blocks of a cluster share the inputs out among them.
//
// Compiled with: CLUSTER, GROUP_STEPS (inputs of a group / 16), ZEROS (1: some are not 8).

#define ROWS 64
#define PAIRS (GROUP_STEPS / 2)
#define STAGES 8
#define ROWS_AHEAD 5  // pairs of steps; those that may still be read are not among them
#define STAGE_BYTES (ROWS * 64)  // of two steps
#define SUMS 128  // of a lane: 4 products' 32

__device__ __forceinline__ void product(float* d, const u32* a, unsigned long long rows) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, 1, 1, 1, 0;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(rows));
}
__device__ __forceinline__ void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void products_end() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
#define PRODUCTS_WAIT(left) asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory")

// Where a step's rows lie: the two halves of the inputs ROWS * 16 bytes apart, every 8 rows 128 bytes.
__device__ __forceinline__ unsigned long long rows_at(u32 address) {
  return (unsigned long long)((address & 0x3ffff) >> 4) | ((unsigned long long)(ROWS * 16 >> 4) << 16) |
         ((unsigned long long)(128 >> 4) << 32);
}

// Four bytes at a time, to both steps and both halves of their inputs; nothing beyond the last step.
__device__ __forceinline__ void bring_rows(const u16* const* row_at, u32 to, int step, int last) {
  if (step < last) {
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int word = 0; word < 4; word++)
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to + i * 512 + word * ROWS * 16),
                     "l"(row_at[i] + step * 16 + word * 2) : "memory");
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

extern "C" __global__ void __cluster_dims__(1, CLUSTER, 1) __launch_bounds__(128, 2)
wide_product(const u16* __restrict__ x, const uint4* __restrict__ words, const u16* __restrict__ scales,
             const u16* __restrict__ zeros, u16* __restrict__ out, int rows, int inputs, int outputs) {
  extern __shared__ __align__(1024) float shared[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, eighth = lane >> 2, quarter = lane & 3;
  const int tiles = outputs / 64, tile = blockIdx.x * 4 + warp, first_row = blockIdx.z * ROWS;
  const int groups = inputs / (16 * GROUP_STEPS);
  const int first_group = groups * blockIdx.y / CLUSTER, last_group = groups * (blockIdx.y + 1) / CLUSTER;
  const int last = last_group * GROUP_STEPS;
  int step = first_group * GROUP_STEPS;

  const size_t stride = (size_t)tiles * 32;
  const uint4* at = words + (size_t)step * stride + tile * 32 + lane;
  uint4 ahead[GROUP_STEPS];
#pragma unroll
  for (int i = 0; i < GROUP_STEPS; i++) ahead[i] = stream(at + i * stride);
  at += GROUP_STEPS * stride;

  // Each thread brings two rows' 8 inputs of a pair of steps: to both steps, and both halves of their inputs.
  const u32 base = (u32)__cvta_generic_to_shared(shared), mine = base + (warp * 8 + eighth) * 16 + quarter * 4;
  const u16* row_at[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int row = first_row + i * 32 + warp * 8 + eighth;
    row_at[i] = x + (size_t)(row < rows ? row : rows - 1) * inputs + quarter * 8;
  }
#pragma unroll
  for (int p = 0; p < ROWS_AHEAD; p++) bring_rows(row_at, mine + p * STAGE_BYTES, step + 2 * p, last);

  float total[4][32];
#pragma unroll
  for (int j = 0; j < 4; j++)
#pragma unroll
    for (int i = 0; i < 32; i++) total[j][i] = 0.f;
  const int of_lane = tile * 64 + eighth;
  u16 scale_ahead[8];
#pragma unroll
  for (int i = 0; i < 8; i++) scale_ahead[i] = scales[(size_t)first_group * outputs + of_lane + (i >> 1) * 16 + (i & 1) * 8];
  u32 weights[2][4][4];
  int pair = 0;
  for (int group = first_group; group < last_group; group++) {
    u32 scale[8];
#pragma unroll
    for (int i = 0; i < 8; i++) scale[i] = scale_ahead[i] * 0x10001u;
    const int next = group + 1 < last_group ? group + 1 : group;
#pragma unroll
    for (int i = 0; i < 8; i++) scale_ahead[i] = scales[(size_t)next * outputs + of_lane + (i >> 1) * 16 + (i & 1) * 8];
#if ZEROS
    u32 zero[8];  // less 8
#pragma unroll
    for (int i = 0; i < 8; i++) {
      zero[i] = zeros[(size_t)group * outputs + of_lane + (i >> 1) * 16 + (i & 1) * 8] * 0x10001u;
      asm("sub.f16x2 %0, %0, %1;" : "+r"(zero[i]) : "r"(0x48004800u));
    }
#endif
#pragma unroll
    for (int p = 0; p < PAIRS; p++) {
      asm volatile("cp.async.wait_group %0;" ::"n"(ROWS_AHEAD - 1) : "memory");
      asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
      __syncthreads();
      bring_rows(row_at, mine + (pair + ROWS_AHEAD) % STAGES * STAGE_BYTES, step + 2 * ROWS_AHEAD, last);
#pragma unroll
      for (int s = 0; s < 2; s++) {
        const uint4 here = ahead[p * 2 + s];
        const u32 word[4] = {here.x, here.y, here.z, here.w};
        if (step + s + GROUP_STEPS < last) ahead[p * 2 + s] = stream(at);
        at += stride;
        PRODUCTS_WAIT(1);  // of the step before last, which read these registers
#pragma unroll
        for (int j = 0; j < 4; j++) {
          unpack(word[j], weights[s][j]);
#pragma unroll
          for (int i = 0; i < 4; i++) {
#if ZEROS
            asm("sub.f16x2 %0, %0, %1;" : "+r"(weights[s][j][i]) : "r"(zero[j * 2 + (i & 1)]));
#endif
            asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(weights[s][j][i]) : "r"(scale[j * 2 + (i & 1)]));
          }
        }
        const unsigned long long place = rows_at(base + (pair % STAGES) * STAGE_BYTES + s * (ROWS * 32));
        products_begin();
#pragma unroll
        for (int j = 0; j < 4; j++) product(total[j], weights[s][j], place);
        products_end();
      }
      step += 2;
      pair++;
    }
  }
  PRODUCTS_WAIT(0);
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();

#pragma unroll
  for (int j = 0; j < 4; j++)
#pragma unroll
    for (int i = 0; i < 32; i++) shared[(j * 32 + i) * 128 + threadIdx.x] = total[j][i];
  cluster_barrier();
  u32 theirs[CLUSTER];
#pragma unroll
  for (u32 rank = 0; rank < CLUSTER; rank++) theirs[rank] = in_block(shared + threadIdx.x, rank);
#pragma unroll
  for (int i = 0; i < SUMS / CLUSTER; i++) {
    const int k = i * CLUSTER + blockIdx.y;
    float sum = 0.f;
#pragma unroll
    for (u32 rank = 0; rank < CLUSTER; rank++) sum += of_block(theirs[rank] + k * 128 * 4);
    const int j = k >> 5, eights = (k & 31) >> 2, e = k & 3;
    const int to = tile * 64 + j * 16 + (e >> 1) * 8 + eighth, row = first_row + eights * 8 + quarter * 2 + (e & 1);
    if (row < rows) out[(size_t)row * outputs + to] = narrow(sum);
  }
  cluster_barrier();  // no block ends while another reads its sums
}

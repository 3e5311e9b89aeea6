// Compiled with GROUP_STEPS and ZEROS, as packed_product.cu is.

// The weights as numbers, [outputs, inputs] float16: a warp does 128 inputs of 64 outputs.
extern "C" __global__ void __launch_bounds__(256)
packed_numbers(const uint4* __restrict__ words, const u16* __restrict__ scales, const u16* __restrict__ zeros,
               u16* __restrict__ out, int inputs, int outputs) {
  const int lane = threadIdx.x & 31, eighth = lane >> 2, quarter = lane & 3, tiles = outputs / 64, tile = blockIdx.y;
  const int begin = (blockIdx.x * 8 + (threadIdx.x >> 5)) * 4, end = inputs / 32 < begin + 4 ? inputs / 32 : begin + 4;
  uint4 ahead[8];
#pragma unroll
  for (int i = 0; i < 8; i++)
    if (begin + i / 2 < end) ahead[i] = stream(words + ((size_t)(begin * 2 + i) * tiles + tile) * 32 + lane);
#pragma unroll
  for (int p = 0; p < 4; p++) {
    const int pair = begin + p;
    if (pair >= end) return;
    const uint4 first = ahead[2 * p], second = ahead[2 * p + 1];
    const u32 word[2][4] = {{first.x, first.y, first.z, first.w}, {second.x, second.y, second.z, second.w}};
    const size_t of_group = (size_t)(pair * 2 / GROUP_STEPS) * outputs + tile * 64 + eighth;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      u32 pairs[2][4];
      unpack(word[0][j], pairs[0]);
      unpack(word[1][j], pairs[1]);
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int at = j * 16 + half * 8;
        const u32 scale = scales[of_group + at] * 0x10001u;
        u32 each[4] = {pairs[0][half], pairs[0][half + 2], pairs[1][half], pairs[1][half + 2]};
#if ZEROS
        u32 zero = zeros[of_group + at] * 0x10001u;
        asm("sub.f16x2 %0, %0, %1;" : "+r"(zero) : "r"(0x48004800u));
#endif
#pragma unroll
        for (int i = 0; i < 4; i++) {
#if ZEROS
          asm("sub.f16x2 %0, %0, %1;" : "+r"(each[i]) : "r"(zero));
#endif
          asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(each[i]) : "r"(scale));
        }
        *(uint4*)(out + (size_t)(tile * 64 + at + eighth) * inputs + pair * 32 + quarter * 8) =
            make_uint4(each[0], each[1], each[2], each[3]);
      }
    }
  }
}

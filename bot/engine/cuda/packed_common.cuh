// What the kernels over packed 4-bit weights share. Put before each of them.

typedef unsigned int u32;
typedef unsigned short u16;

__device__ __forceinline__ uint4 stream(const uint4* at) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(at));
  return v;
}

__device__ __forceinline__ float wide(u16 half) {
  float found;
  asm("cvt.f32.f16 %0, %1;" : "=f"(found) : "h"(half));
  return found;
}

__device__ __forceinline__ u16 narrow(float number) {
  u16 found;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(found) : "f"(number));
  return found;
}

// Eight codes of 4 bits as four pairs of float16, less 8: the bits go below those of 1024.
__device__ __forceinline__ void unpack(u32 word, u32* pairs) {
  const u32 magic = 0x64006400u;
  u32 high = word >> 8, a, b, c, d;
  asm("lop3.b32 %0, %1, 0x000f000f, %2, 0xea;" : "=r"(a) : "r"(word), "r"(magic));
  asm("lop3.b32 %0, %1, 0x00f000f0, %2, 0xea;" : "=r"(b) : "r"(word), "r"(magic));
  asm("lop3.b32 %0, %1, 0x000f000f, %2, 0xea;" : "=r"(c) : "r"(high), "r"(magic));
  asm("lop3.b32 %0, %1, 0x00f000f0, %2, 0xea;" : "=r"(d) : "r"(high), "r"(magic));
  const u32 low_offset = 0x64086408u;                        // 1032
  const u32 sixteenth = 0x2c002c00u, high_offset = 0xd480d480u;  // 1/16, -72
  asm("sub.f16x2 %0, %1, %2;" : "=r"(pairs[0]) : "r"(a), "r"(low_offset));
  asm("sub.f16x2 %0, %1, %2;" : "=r"(pairs[1]) : "r"(c), "r"(low_offset));
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(pairs[2]) : "r"(b), "r"(sixteenth), "r"(high_offset));
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(pairs[3]) : "r"(d), "r"(sixteenth), "r"(high_offset));
}

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ void cluster_barrier() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
// Where another block of the cluster has what lies here in this one.
__device__ __forceinline__ u32 in_block(const float* mine, u32 rank) {
  u32 local = (u32)__cvta_generic_to_shared(mine), remote;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(local), "r"(rank));
  return remote;
}
__device__ __forceinline__ float of_block(u32 place) {
  float found;
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(found) : "r"(place));
  return found;
}
#endif

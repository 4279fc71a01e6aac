// The bias of a matrix product.

/** Adds the bias to `height` rows of C, last, as a sum of its own would: fused or not, a layer gives the same bits. */
export function addBias(c: usize, stride: usize, height: usize, width: usize, bias: usize): void {
  for (let i: usize = 0; i < height; i++) {
    const end = c + width * 4;
    let at = c;
    let from = bias;
    for (; at + 16 <= end; at += 16) {
      v128.store(at, f32x4.add(v128.load(at), v128.load(from)));
      from += 16;
    }
    for (; at < end; at += 4) {
      f32.store(at, f32.load(at) + f32.load(from));
      from += 4;
    }
    c += stride;
  }
}

/// The two planes of a 4:2:0 frame: luma, and interleaved blue and red chroma of half the size.
public struct YuvPlanes {
  let luma: UnsafePointer<UInt8>
  let lumaStride: Int
  let chroma: UnsafePointer<UInt8>
  let chromaStride: Int

  public init(
    luma: UnsafePointer<UInt8>, lumaStride: Int, chroma: UnsafePointer<UInt8>, chromaStride: Int
  ) {
    self.luma = luma
    self.lumaStride = lumaStride
    self.chroma = chroma
    self.chromaStride = chromaStride
  }
}

extension Pixels {
  /// Converted by full-range BT.601 (JFIF), which phone cameras deliver.
  public init(yuv planes: YuvPlanes, width: Int, height: Int) {
    var rgba = [UInt8](repeating: 255, count: 4 * width * height)
    for y in 0..<height {
      for x in 0..<width {
        let luma = Float(planes.luma[y * planes.lumaStride + x])
        let at = y / 2 * planes.chromaStride + x / 2 * 2
        let blue = Float(planes.chroma[at]) - 128
        let red = Float(planes.chroma[at + 1]) - 128
        let to = 4 * (y * width + x)
        rgba[to] = byte(luma + 1.402 * red)
        rgba[to + 1] = byte(luma - 0.344136 * blue - 0.714136 * red)
        rgba[to + 2] = byte(luma + 1.772 * blue)
      }
    }
    self.init(width: width, height: height, rgba: rgba)
  }
}

private func byte(_ value: Float) -> UInt8 {
  UInt8(min(max(value.rounded(), 0), 255))
}

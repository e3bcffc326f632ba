/// From pixels to the input tensor, exactly as mlc fed the network that it verified:
/// `tensor = (pixel * scale - mean) / std` with pixel in 0...255.
///
/// Pure: runs wherever Swift does. Resizing is bilinear with antialiasing, a triangle filter as wide as the
/// reduction, in two passes with 8-bit pixels between them: what Pillow calls BILINEAR.
public struct Preprocessing: Sendable {
  /// The order of the channels in the input tensor.
  public enum ColorOrder: Sendable {
    case rgb
    case bgr
    case gray

    public var channels: Int { self == .gray ? 1 : 3 }
  }

  /// How a picture is brought to the size of the input.
  public enum ResizeRule: Sendable {
    /// Fills the input, whatever the aspect ratio.
    case stretch
    /// Takes the centre: this part of the largest centred rectangle of the input's aspect.
    case crop(fraction: Double)
    /// Fits the whole picture, centred, on black.
    case letterbox
  }

  public let width: Int
  public let height: Int
  public let color: ColorOrder
  public let resize: ResizeRule
  public let scale: Float
  /// One number, or one per channel in the order of `color`; `std` likewise.
  public let mean: [Float]
  public let std: [Float]

  public init(
    width: Int, height: Int, color: ColorOrder, resize: ResizeRule, scale: Float, mean: [Float],
    std: [Float]
  ) {
    self.width = width
    self.height = height
    self.color = color
    self.resize = resize
    self.scale = scale
    self.mean = mean
    self.std = std
  }

  /// Shape of the input tensor: one picture, rows, columns, channels.
  public var shape: [Int] { [1, height, width, color.channels] }

  /// The input tensor of a picture.
  public func tensor(_ pixels: Pixels) -> Tensor { tensor(fit(pixels)) }

  /// The input tensor of a picture that is fitted already.
  public func tensor(_ fitted: FittedPicture) -> Tensor {
    let tables = (0..<color.channels).map(levels)
    let data = fitted.bytes.indices.map { tables[$0 % color.channels][Int(fitted.bytes[$0])] }
    return Tensor(data, shape: shape)
  }

  /// Bring pixels to the size and channel order of the input.
  public func fit(_ pixels: Pixels) -> FittedPicture {
    let image = inColor(pixels)
    let bytes =
      switch resize {
      case .stretch: resample(image, image.whole, width, height)
      case .crop(let fraction): resample(image, centre(of: image, fraction), width, height)
      case .letterbox: letterbox(image)
      }
    return FittedPicture(width: width, height: height, color: color, bytes: bytes)
  }

  /// How far apart two neighbouring pixel values are in the tensor, for each channel.
  public var pixelSteps: [Float] { (0..<color.channels).map { abs(scale / value(std, $0)) } }

  /// What each of the 256 pixel values becomes.
  private func levels(_ channel: Int) -> [Float] {
    let (mean, std) = (value(mean, channel), value(std, channel))
    return (0..<256).map { (Float($0) * scale - mean) / std }
  }

  private func value(_ values: [Float], _ channel: Int) -> Float {
    values[values.count == 1 ? 0 : channel]
  }

  /// Drop alpha and order the channels. Gray is ITU-R 601-2 luma in 16-bit fixed point.
  private func inColor(_ pixels: Pixels) -> Image {
    let channels = color.channels
    var bytes = [UInt8](repeating: 0, count: pixels.width * pixels.height * channels)
    for pixel in 0..<pixels.width * pixels.height {
      let (r, g, b) = (
        pixels.rgba[4 * pixel], pixels.rgba[4 * pixel + 1], pixels.rgba[4 * pixel + 2]
      )
      let to = pixel * channels
      switch color {
      case .rgb: (bytes[to], bytes[to + 1], bytes[to + 2]) = (r, g, b)
      case .bgr: (bytes[to], bytes[to + 1], bytes[to + 2]) = (b, g, r)
      case .gray:
        let luma = Int(r) * 19595 + Int(g) * 38470 + Int(b) * 7471 + 0x8000
        bytes[to] = UInt8(luma >> 16)
      }
    }
    return Image(width: pixels.width, height: pixels.height, channels: channels, bytes: bytes)
  }

  private func centre(of image: Image, _ fraction: Double) -> Box {
    let across = Double(image.width) / Double(width)
    let down = Double(image.height) / Double(height)
    let shrink = min(across, down) * fraction
    let dx = max(0, Double(image.width) - Double(width) * shrink)
    let dy = max(0, Double(image.height) - Double(height) * shrink)
    let left = (dx / 2).rounded(.down)  // half a pixel would blur
    let top = (dy / 2).rounded(.down)
    return Box(
      left: left, top: top, right: left + Double(image.width) - dx,
      bottom: top + Double(image.height) - dy)
  }

  private func letterbox(_ image: Image) -> [UInt8] {
    let grow = min(Double(width) / Double(image.width), Double(height) / Double(image.height))
    let innerWidth = max(1, Int((Double(image.width) * grow).rounded(.toNearestOrEven)))
    let innerHeight = max(1, Int((Double(image.height) * grow).rounded(.toNearestOrEven)))
    let inner = resample(image, image.whole, innerWidth, innerHeight)
    let left = (width - innerWidth) >> 1
    let top = (height - innerHeight) >> 1
    var bytes = [UInt8](repeating: 0, count: width * height * image.channels)
    let row = innerWidth * image.channels
    for y in 0..<innerHeight {
      let at = ((top + y) * width + left) * image.channels
      bytes.replaceSubrange(at..<at + row, with: inner[y * row..<(y + 1) * row])
    }
    return bytes
  }
}

/// A picture in the size and channel order of the input, its pixels not scaled yet.
public struct FittedPicture: Sendable {
  public let width: Int
  public let height: Int
  public let color: Preprocessing.ColorOrder
  /// height × width × channels.
  public let bytes: [UInt8]
}

// MARK: - Resampling

/// A picture in the network's channel order.
private struct Image {
  let width: Int
  let height: Int
  let channels: Int
  let bytes: [UInt8]

  var whole: Box { Box(left: 0, top: 0, right: Double(width), bottom: Double(height)) }
}

/// The part of a picture that goes in.
private struct Box {
  let left: Double
  let top: Double
  let right: Double
  let bottom: Double
}

/// Weights are fixed-point numbers with so many bits after the point.
private let precision = 22

/// The source pixels that an output pixel is made of, and their weights.
private struct Taps {
  let first: Int
  let weights: [Int]

  var end: Int { first + weights.count }

  /// The taps of each of `size` output pixels that together show `from`..<`to` of `length` pixels.
  static func all(from: Double, to: Double, length: Int, size: Int) -> [Taps] {
    let start = Float(from)
    let scale = Double(Float(to) - start) / Double(size)
    let support = max(scale, 1)
    return (0..<size).map { out in
      let centre = Double(start) + (Double(out) + 0.5) * scale
      let low = max(0, Int(centre - support + 0.5))
      let high = min(length, Int(centre + support + 0.5))
      let shares = (low..<high).map { triangle((Double($0) - centre + 0.5) * (1 / support)) }
      let total = shares.reduce(0, +)
      let weights = shares.map { Int(0.5 + $0 / total * one) }
      return Taps(first: low, weights: weights)
    }
  }

  private static let one = Double(1 << precision)

  private static func triangle(_ x: Double) -> Double { max(0, 1 - abs(x)) }
}

/// Columns first, then rows; rounded to whole pixels after each.
private func resample(_ image: Image, _ box: Box, _ width: Int, _ height: Int) -> [UInt8] {
  let channels = image.channels
  let across = Taps.all(from: box.left, to: box.right, length: image.width, size: width)
  let down = Taps.all(from: box.top, to: box.bottom, length: image.height, size: height)
  let firstRow = down[0].first
  let rows = down[height - 1].end - firstRow

  let row = width * channels
  let narrow = filled(rows * row) { result in
    image.bytes.withUnsafeBufferPointer { bytes in
      for y in 0..<rows {
        for x in 0..<width {
          let start = ((firstRow + y) * image.width + across[x].first) * channels
          for channel in 0..<channels {
            result[y * row + x * channels + channel] =
              blend(bytes, start + channel, channels, across[x].weights)
          }
        }
      }
    }
  }
  return filled(height * row) { result in
    narrow.withUnsafeBufferPointer { bytes in
      for y in 0..<height {
        let start = (down[y].first - firstRow) * row
        for i in 0..<row {
          result[y * row + i] = blend(bytes, start + i, row, down[y].weights)
        }
      }
    }
  }
}

private func filled(
  _ count: Int, _ fill: (UnsafeMutableBufferPointer<UInt8>) -> Void
) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
    buffer.initialize(repeating: 0)
    fill(buffer)
    initialized = count
  }
}

/// The weighted sum of every `step`-th byte from `start` on.
private func blend(
  _ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ step: Int, _ weights: [Int]
) -> UInt8 {
  var sum = 1 << (precision - 1)
  var at = start
  for weight in weights {
    sum += Int(bytes[at]) * weight
    at += step
  }
  return UInt8(min(sum >> precision, 255))
}

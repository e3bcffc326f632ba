/// A picture: RGBA, 8 bits each, row by row. Alpha is passed over.
///
/// Pure: runs wherever Swift does. `PlatformPixels.swift` makes one of a `CGImage`, `UIImage` or
/// `CVPixelBuffer`.
public struct Pixels: Sendable {
  public let width: Int
  public let height: Int
  public let rgba: [UInt8]

  public init(width: Int, height: Int, rgba: [UInt8]) {
    precondition(width > 0 && height > 0 && rgba.count == 4 * width * height, "Not such a picture.")
    self.width = width
    self.height = height
    self.rgba = rgba
  }

  /// The picture turned clockwise by so many quarters, as a camera's sensor demands.
  public func rotated(quarters: Int) -> Pixels {
    let turned = ((quarters % 4) + 4) % 4
    guard turned > 0 else { return self }
    let (columns, rows) = turned == 2 ? (width, height) : (height, width)
    var result = [UInt8]()
    result.reserveCapacity(rgba.count)
    for y in 0..<rows {
      for x in 0..<columns {
        let (fromX, fromY) =
          switch turned {
          case 1: (y, height - 1 - x)
          case 2: (width - 1 - x, height - 1 - y)
          default: (width - 1 - y, x)
          }
        let at = 4 * (fromY * width + fromX)
        result.append(contentsOf: rgba[at..<at + 4])
      }
    }
    return Pixels(width: columns, height: rows, rgba: result)
  }
}

#if canImport(CoreGraphics)
  import CoreGraphics
  import CoreVideo
  import Foundation
  import ImageIO

  extension Pixels {
    /// The pixels of an image in sRGB, in its own size, as it is stored: not turned upright.
    public init(_ image: CGImage) throws {
      var rgba = [UInt8](repeating: 0, count: 4 * image.width * image.height)
      let space = CGColorSpace(name: CGColorSpace.sRGB) ?? CGColorSpaceCreateDeviceRGB()
      let drawn = rgba.withUnsafeMutableBytes { bytes in
        let context = CGContext(
          data: bytes.baseAddress, width: image.width, height: image.height, bitsPerComponent: 8,
          bytesPerRow: 4 * image.width, space: space,
          bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
        context?.draw(image, in: CGRect(x: 0, y: 0, width: image.width, height: image.height))
        return context != nil
      }
      guard drawn else { throw ModelError("The picture cannot be drawn.") }
      self.init(width: image.width, height: image.height, rgba: rgba)
    }

    /// A camera frame: 32BGRA, or 420 bi-planar full-range, which cameras deliver.
    public init(_ buffer: CVPixelBuffer) throws {
      CVPixelBufferLockBaseAddress(buffer, .readOnly)
      defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
      switch CVPixelBufferGetPixelFormatType(buffer) {
      case kCVPixelFormatType_32BGRA: self = try Pixels(bgra: buffer)
      case kCVPixelFormatType_420YpCbCr8BiPlanarFullRange: self = try Pixels(biplanar: buffer)
      default: throw ModelError("Ask the camera for 32BGRA or 420YpCbCr8BiPlanarFullRange.")
      }
    }

    /// Decode a golden PNG.
    public init(png: Data) throws {
      guard let source = CGImageSourceCreateWithData(png as CFData, nil),
        let image = CGImageSourceCreateImageAtIndex(source, 0, nil)
      else { throw ModelError("This is no picture.") }
      try self.init(image)
    }

    private init(bgra buffer: CVPixelBuffer) throws {
      guard let base = CVPixelBufferGetBaseAddress(buffer) else {
        throw ModelError("The frame has no pixels.")
      }
      let width = CVPixelBufferGetWidth(buffer)
      let height = CVPixelBufferGetHeight(buffer)
      let stride = CVPixelBufferGetBytesPerRow(buffer)
      var rgba = [UInt8]()
      rgba.reserveCapacity(4 * width * height)
      for y in 0..<height {
        let row = base.advanced(by: y * stride).assumingMemoryBound(to: UInt8.self)
        for x in 0..<width {
          rgba += [row[4 * x + 2], row[4 * x + 1], row[4 * x], 255]
        }
      }
      self.init(width: width, height: height, rgba: rgba)
    }

    private init(biplanar buffer: CVPixelBuffer) throws {
      guard let luma = CVPixelBufferGetBaseAddressOfPlane(buffer, 0),
        let chroma = CVPixelBufferGetBaseAddressOfPlane(buffer, 1)
      else { throw ModelError("The frame has no planes.") }
      let width = CVPixelBufferGetWidth(buffer)
      let height = CVPixelBufferGetHeight(buffer)
      self.init(
        yuv: YuvPlanes(
          luma: luma.assumingMemoryBound(to: UInt8.self),
          lumaStride: CVPixelBufferGetBytesPerRowOfPlane(buffer, 0),
          chroma: chroma.assumingMemoryBound(to: UInt8.self),
          chromaStride: CVPixelBufferGetBytesPerRowOfPlane(buffer, 1)),
        width: width, height: height)
    }
  }
#endif

#if canImport(UIKit)
  import UIKit

  extension Pixels {
    /// The pixels of a picture, upright.
    @MainActor
    public init(_ picture: UIImage) throws {
      let format = UIGraphicsImageRendererFormat()
      format.scale = 1
      format.opaque = true
      let size = CGSize(
        width: picture.size.width * picture.scale, height: picture.size.height * picture.scale)
      let upright = UIGraphicsImageRenderer(size: size, format: format).image { _ in
        picture.draw(in: CGRect(origin: .zero, size: size))
      }
      guard let image = upright.cgImage else { throw ModelError("The picture cannot be drawn.") }
      try self.init(image)
    }
  }
#endif

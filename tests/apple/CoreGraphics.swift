@_exported import Foundation

// CGFloat, CGSize and CGRect are Foundation's on Linux.

/// https://developer.apple.com/documentation/coregraphics/cgcolorspace
public final class CGColorSpace {
  /// https://developer.apple.com/documentation/coregraphics/cgcolorspace/srgb
  public static var sRGB: NSString { fatalError() }

  /// https://developer.apple.com/documentation/coregraphics/cgcolorspace/init(name:)
  public init?(name: NSString) {}
}

/// https://developer.apple.com/documentation/coregraphics/cgcolorspacecreatedevicergb()
public func CGColorSpaceCreateDeviceRGB() -> CGColorSpace { fatalError() }

/// https://developer.apple.com/documentation/coregraphics/cgimagealphainfo
public enum CGImageAlphaInfo: UInt32, Sendable {
  case noneSkipLast = 5
}

/// https://developer.apple.com/documentation/coregraphics/cgimage
public final class CGImage {
  /// https://developer.apple.com/documentation/coregraphics/cgimage/width
  public var width: Int { fatalError() }

  /// https://developer.apple.com/documentation/coregraphics/cgimage/height
  public var height: Int { fatalError() }
}

/// https://developer.apple.com/documentation/coregraphics/cgcontext
public final class CGContext {
  /// https://developer.apple.com/documentation/coregraphics/cgcontext/init(data:width:height:bitspercomponent:bytesperrow:space:bitmapinfo:)
  public init?(
    data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
    bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
  ) {}

  /// https://developer.apple.com/documentation/coregraphics/cgcontext/draw(_:in:bytiling:)
  public func draw(_ image: CGImage, in rect: CGRect, byTiling: Bool = false) {}
}

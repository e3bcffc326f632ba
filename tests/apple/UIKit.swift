@_exported import CoreGraphics
@_exported import QuartzCore

/// https://developer.apple.com/documentation/uikit/uiimage
public class UIImage: NSObject, @unchecked Sendable {
  /// https://developer.apple.com/documentation/uikit/uiimage/init(data:)
  public init?(data: Data) {}

  /// https://developer.apple.com/documentation/uikit/uiimage/size
  public var size: CGSize { fatalError() }

  /// https://developer.apple.com/documentation/uikit/uiimage/scale
  public var scale: CGFloat { fatalError() }

  /// https://developer.apple.com/documentation/uikit/uiimage/cgimage
  public var cgImage: CGImage? { fatalError() }

  /// https://developer.apple.com/documentation/uikit/uiimage/draw(in:)
  public func draw(in rect: CGRect) {}
}

/// https://developer.apple.com/documentation/uikit/uigraphicsimagerendererformat
public class UIGraphicsImageRendererFormat: NSObject {
  /// https://developer.apple.com/documentation/uikit/uigraphicsimagerendererformat/scale
  public var scale: CGFloat = 1

  /// https://developer.apple.com/documentation/uikit/uigraphicsimagerendererformat/opaque
  public var opaque = false
}

/// https://developer.apple.com/documentation/uikit/uigraphicsimagerenderercontext
public class UIGraphicsImageRendererContext: NSObject {}

/// https://developer.apple.com/documentation/uikit/uigraphicsimagerenderer
public class UIGraphicsImageRenderer: NSObject {
  /// https://developer.apple.com/documentation/uikit/uigraphicsimagerenderer/init(size:format:)
  public init(size: CGSize, format: UIGraphicsImageRendererFormat) {}

  /// https://developer.apple.com/documentation/uikit/uigraphicsimagerenderer/image(actions:)
  public func image(actions: (UIGraphicsImageRendererContext) -> Void) -> UIImage { fatalError() }
}

/// https://developer.apple.com/documentation/uikit/uiview
@MainActor
open class UIView: NSObject {
  /// https://developer.apple.com/documentation/uikit/uiview/init(frame:)
  public init(frame: CGRect = .zero) {}

  /// https://developer.apple.com/documentation/uikit/uiview/layerclass
  open class var layerClass: AnyClass { CALayer.self }

  /// https://developer.apple.com/documentation/uikit/uiview/layer
  public var layer: CALayer { fatalError() }
}

/// https://developer.apple.com/documentation/uikit/uidevice
@MainActor
public class UIDevice: NSObject {
  /// https://developer.apple.com/documentation/uikit/uidevice/batterystate-swift.enum
  public enum BatteryState: Int, Sendable {
    case unknown, unplugged, charging, full
  }

  /// https://developer.apple.com/documentation/uikit/uidevice/current
  public class var current: UIDevice { fatalError() }

  /// https://developer.apple.com/documentation/uikit/uidevice/isbatterymonitoringenabled
  public var isBatteryMonitoringEnabled = false

  /// https://developer.apple.com/documentation/uikit/uidevice/batterystate-swift.property
  public var batteryState: BatteryState { fatalError() }
}

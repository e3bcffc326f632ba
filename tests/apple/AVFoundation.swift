@_exported import CoreMedia
@_exported import Dispatch
@_exported import QuartzCore

/// https://developer.apple.com/documentation/avfoundation/avmediatype
public struct AVMediaType: Hashable, Sendable {
  /// https://developer.apple.com/documentation/avfoundation/avmediatype/video
  public static let video = AVMediaType()
}

/// https://developer.apple.com/documentation/avfoundation/avcapturedevice
public class AVCaptureDevice: NSObject {
  /// https://developer.apple.com/documentation/avfoundation/avcapturedevice/default(for:)
  public class func `default`(for mediaType: AVMediaType) -> AVCaptureDevice? { fatalError() }

  /// https://developer.apple.com/documentation/avfoundation/avcapturedevice/requestaccess(for:completionhandler:)
  public class func requestAccess(for mediaType: AVMediaType) async -> Bool { fatalError() }
}

/// https://developer.apple.com/documentation/avfoundation/avcaptureinput
public class AVCaptureInput: NSObject {}

/// https://developer.apple.com/documentation/avfoundation/avcapturedeviceinput
public class AVCaptureDeviceInput: AVCaptureInput {
  /// https://developer.apple.com/documentation/avfoundation/avcapturedeviceinput/init(device:)
  public init(device: AVCaptureDevice) throws {}
}

/// https://developer.apple.com/documentation/avfoundation/avcaptureconnection
public class AVCaptureConnection: NSObject {
  /// https://developer.apple.com/documentation/avfoundation/avcaptureconnection/videorotationangle
  public var videoRotationAngle: CGFloat = 0

  /// https://developer.apple.com/documentation/avfoundation/avcaptureconnection/isvideorotationanglesupported(_:)
  public func isVideoRotationAngleSupported(_ videoRotationAngle: CGFloat) -> Bool { fatalError() }
}

/// https://developer.apple.com/documentation/avfoundation/avcaptureoutput
public class AVCaptureOutput: NSObject {
  /// https://developer.apple.com/documentation/avfoundation/avcaptureoutput/connection(with:)
  public func connection(with mediaType: AVMediaType) -> AVCaptureConnection? { fatalError() }
}

/// Its methods are optional; here this one is required, so that a wrong signature is an error.
/// https://developer.apple.com/documentation/avfoundation/avcapturevideodataoutputsamplebufferdelegate
public protocol AVCaptureVideoDataOutputSampleBufferDelegate: NSObjectProtocol {
  /// https://developer.apple.com/documentation/avfoundation/avcapturevideodataoutputsamplebufferdelegate/captureoutput(_:didoutput:from:)
  func captureOutput(
    _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
    from connection: AVCaptureConnection)
}

/// https://developer.apple.com/documentation/avfoundation/avcapturevideodataoutput
public class AVCaptureVideoDataOutput: AVCaptureOutput {
  public override init() {}

  /// https://developer.apple.com/documentation/avfoundation/avcapturevideodataoutput/videosettings
  public var videoSettings: [String: Any]!

  /// https://developer.apple.com/documentation/avfoundation/avcapturevideodataoutput/alwaysdiscardslatevideoframes
  public var alwaysDiscardsLateVideoFrames = true

  /// https://developer.apple.com/documentation/avfoundation/avcapturevideodataoutput/setsamplebufferdelegate(_:queue:)
  public func setSampleBufferDelegate(
    _ delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?
  ) {}
}

/// Taken as not Sendable, whatever a later SDK says.
/// https://developer.apple.com/documentation/avfoundation/avcapturesession
public class AVCaptureSession: NSObject {
  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/preset
  public struct Preset: Hashable, Sendable {
    /// https://developer.apple.com/documentation/avfoundation/avcapturesession/preset/vga640x480
    public static let vga640x480 = Preset()
  }

  public override init() {}

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/sessionpreset
  public var sessionPreset = Preset()

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/outputs
  public var outputs: [AVCaptureOutput] { fatalError() }

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/beginconfiguration()
  public func beginConfiguration() {}

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/commitconfiguration()
  public func commitConfiguration() {}

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/canaddinput(_:)
  public func canAddInput(_ input: AVCaptureInput) -> Bool { fatalError() }

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/addinput(_:)
  public func addInput(_ input: AVCaptureInput) {}

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/canaddoutput(_:)
  public func canAddOutput(_ output: AVCaptureOutput) -> Bool { fatalError() }

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/addoutput(_:)
  public func addOutput(_ output: AVCaptureOutput) {}

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/startrunning()
  public func startRunning() {}

  /// https://developer.apple.com/documentation/avfoundation/avcapturesession/stoprunning()
  public func stopRunning() {}
}

/// https://developer.apple.com/documentation/avfoundation/avlayervideogravity
public struct AVLayerVideoGravity: Hashable, Sendable {
  /// https://developer.apple.com/documentation/avfoundation/avlayervideogravity/resizeaspectfill
  public static let resizeAspectFill = AVLayerVideoGravity()
}

/// https://developer.apple.com/documentation/avfoundation/avcapturevideopreviewlayer
public class AVCaptureVideoPreviewLayer: CALayer {
  /// https://developer.apple.com/documentation/avfoundation/avcapturevideopreviewlayer/session
  public var session: AVCaptureSession?

  /// https://developer.apple.com/documentation/avfoundation/avcapturevideopreviewlayer/videogravity
  public var videoGravity = AVLayerVideoGravity()
}

@_exported import CoreVideo

/// https://developer.apple.com/documentation/coremedia/cmtime-api
public struct CMTime: Sendable {
  /// https://developer.apple.com/documentation/coremedia/cmtime/seconds
  public var seconds: Double { fatalError() }
}

/// Not Sendable.
/// https://developer.apple.com/documentation/coremedia/cmsamplebuffer
public final class CMSampleBuffer {}

/// https://developer.apple.com/documentation/coremedia/cmsamplebuffergetpresentationtimestamp(_:)
public func CMSampleBufferGetPresentationTimeStamp(_ sbuf: CMSampleBuffer) -> CMTime {
  fatalError()
}

/// https://developer.apple.com/documentation/coremedia/cmsamplebuffergetimagebuffer(_:)
public func CMSampleBufferGetImageBuffer(_ sbuf: CMSampleBuffer) -> CVImageBuffer? { fatalError() }

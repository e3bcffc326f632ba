import AVFoundation
import HotdogKit
import MLCBindings

/// The back camera as a stream of upright pictures, of which most frames are skipped.
///
/// State: the session, the gate and the stream, touched on `queue` only; hence unchecked.
final class Camera: NSObject, @unchecked Sendable {
  let session = AVCaptureSession()
  private let queue = DispatchQueue(label: "camera")
  private var gate = FrameGate(framesPerSecond: 1)
  private var stream: AsyncThrowingStream<Pixels, any Error>.Continuation?

  /// Runs the camera for as long as somebody waits for the next picture. After each, `frameIsDone`.
  func frames() async throws -> AsyncThrowingStream<Pixels, any Error> {
    guard await AVCaptureDevice.requestAccess(for: .video) else {
      throw ModelError("Allow the camera in Settings.")
    }
    return AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { stream in
      stream.onTermination = { [weak self] _ in self?.stop() }
      queue.async { self.start(stream) }
    }
  }

  func limit(_ framesPerSecond: Double) {
    queue.async { self.gate.framesPerSecond = framesPerSecond }
  }

  func frameIsDone() {
    queue.async { self.gate.finish() }
  }

  private func stop() {
    queue.async {
      self.stream = nil
      self.session.stopRunning()
    }
  }

  private func start(_ stream: AsyncThrowingStream<Pixels, any Error>.Continuation) {
    do {
      if session.outputs.isEmpty { try configure() }
      self.stream = stream
      gate.finish()
      session.startRunning()
    } catch {
      stream.finish(throwing: error)
    }
  }

  private func configure() throws {
    session.beginConfiguration()
    defer { session.commitConfiguration() }
    // Larger than any input of a classifier, and quick to convert.
    session.sessionPreset = .vga640x480
    guard let device = AVCaptureDevice.default(for: .video) else {
      throw ModelError("This device has no camera.")
    }
    let input = try AVCaptureDeviceInput(device: device)
    let output = AVCaptureVideoDataOutput()
    guard session.canAddInput(input), session.canAddOutput(output) else {
      throw ModelError("The camera cannot be used.")
    }
    session.addInput(input)
    session.addOutput(output)
    output.videoSettings = [
      kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
    ]
    output.alwaysDiscardsLateVideoFrames = true
    output.setSampleBufferDelegate(self, queue: queue)
    // Portrait, as the app: the sensor lies on its side.
    if let connection = output.connection(with: .video),
      connection.isVideoRotationAngleSupported(90)
    {
      connection.videoRotationAngle = 90
    }
  }
}

extension Camera: AVCaptureVideoDataOutputSampleBufferDelegate {
  /// Called on `queue`. A frame that is not admitted costs nothing.
  func captureOutput(
    _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
    from connection: AVCaptureConnection
  ) {
    let seconds = CMSampleBufferGetPresentationTimeStamp(sampleBuffer).seconds
    guard let stream, gate.admits(at: seconds) else { return }
    do {
      guard let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) else {
        throw ModelError("The camera gave a frame without a picture.")
      }
      stream.yield(try Pixels(buffer))
    } catch {
      stream.finish(throwing: error)
    }
  }
}

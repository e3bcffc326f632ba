/// Decides which camera frames are looked at: none while one is in work, and at most so many per second.
public struct FrameGate: Sendable {
  /// Upper bound; a slower model makes it fewer.
  public var framesPerSecond: Double

  /// Cameras are not punctual: a frame may come so many seconds early, a quarter of one at 30 Hz.
  private static let slack = 0.008

  private var isBusy = false
  /// When the next frame may come, in the camera's seconds.
  private var due = -Double.infinity

  public init(framesPerSecond: Double) {
    self.framesPerSecond = framesPerSecond
  }

  /// Whether to look at the frame of this time; then none other is, until `finish`.
  public mutating func admits(at seconds: Double) -> Bool {
    let interval = 1 / framesPerSecond
    // A clock that went back, as after an interruption, would shut the gate for long.
    if due > seconds + 2 * interval { due = seconds }
    guard !isBusy, seconds >= due - Self.slack else { return false }
    // Counted from when it was due, so that 20 of 30 frames are 20 and not every second one; but a pause is
    // not caught up with.
    due = (seconds - due < interval ? due : seconds) + interval
    isBusy = true
    return true
  }

  /// The frame that was admitted has been dealt with.
  public mutating func finish() {
    isBusy = false
  }
}

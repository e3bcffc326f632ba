import Testing

@testable import HotdogKit

@Suite struct FrameGateTests {
  /// How many frames of a 30 Hz camera are looked at in ten seconds, each taking `work` seconds.
  private func admitted(_ rate: Double, jitter: Double = 0, work: Double = 0) -> Int {
    var gate = FrameGate(framesPerSecond: rate)
    var count = 0
    var readyAt = 0.0
    for frame in 0..<300 {
      let seconds = 1000 + Double(frame) / 30 + (frame % 2 == 0 ? jitter : -jitter)
      if seconds >= readyAt { gate.finish() }
      if gate.admits(at: seconds) {
        count += 1
        readyAt = seconds + work
      }
    }
    return count
  }

  @Test(arguments: [1, 2, 7, 10, 15, 20, 24, 30])
  func asManyAsAskedForAndNoMore(rate: Int) {
    #expect(admitted(Double(rate)) == rate * 10)
  }

  @Test(arguments: [5, 12, 20, 30])
  func camerasNeedNotBePunctual(rate: Int) {
    #expect((rate * 10 - 2...rate * 10 + 1).contains(admitted(Double(rate), jitter: 0.002)))
  }

  @Test func slowModelIsNotQueuedFor() {
    // 0.25 s of work is eight frames of a camera: 300 / 8.
    #expect(admitted(30, work: 0.25) == 38)
  }

  @Test func busyGateIsShut() {
    var gate = FrameGate(framesPerSecond: 10)
    let first = gate.admits(at: 0)
    let whileBusy = gate.admits(at: 100)
    gate.finish()
    let after = gate.admits(at: 101)
    #expect([first, whileBusy, after] == [true, false, true])
  }

  @Test func clockThatGoesBackDoesNotShutIt() {
    var gate = FrameGate(framesPerSecond: 10)
    let before = gate.admits(at: 5000)
    gate.finish()
    let after = gate.admits(at: 1)
    #expect([before, after] == [true, true])
  }

  @Test func aPauseIsNotCaughtUpWith() {
    var gate = FrameGate(framesPerSecond: 10)
    var count = 0
    for seconds in [0, 60, 60.01, 60.02, 60.03, 60.11] {
      gate.finish()
      if gate.admits(at: seconds) { count += 1 }
    }
    #expect(count == 3)
  }
}

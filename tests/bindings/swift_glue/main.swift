// Runs the golden cases of ../exam.py through the glue to Core ML and Vision: swift_glue DIST. Prints, for every kind
// of package and both runtimes, which cases passed.

import CoreML
import Foundation
import MLCBindings
import Vision

let dist = URL(filePath: CommandLine.arguments[1])
let about = ModelModel.description
let preprocessing = ModelModel.preprocessing

/// The model of the exam: a score is the mean of a channel.
func means(_ tensor: [Float]) -> [Float] {
  (0..<3).map { channel in
    let values = stride(from: channel, to: tensor.count, by: 3).map { Double(tensor[$0]) }
    return Float(values.reduce(0, +) / Double(values.count))
  }
}

/// The tensor that a package makes of a picture by itself; `order` says where red, green and blue are.
func tensor(_ buffer: CVPixelBuffer, order: [Int]) -> [Float] {
  let base = CVPixelBufferGetBaseAddress(buffer)!.assumingMemoryBound(to: UInt8.self)
  var rgb = [Float]()
  for y in 0..<CVPixelBufferGetHeight(buffer) {
    for x in 0..<CVPixelBufferGetWidth(buffer) {
      for channel in 0..<3 {
        let byte = base[y * CVPixelBufferGetBytesPerRow(buffer) + 4 * x + order[channel]]
        let (mean, std) = (preprocessing.mean[channel], preprocessing.std[channel])
        rgb.append((Float(byte) * preprocessing.scale - mean) / std)
      }
    }
  }
  return rgb
}

func standIn(_ type: MLFeatureType, labels: Bool, order: [Int]) -> StandIn {
  StandIn(
    input: about.inputs[0].name, type: type, output: about.outputs[0].name,
    labels: labels ? about.classifier!.labels : nil
  ) { value in
    if let buffer = value.imageBufferValue { return means(tensor(buffer, order: order)) }
    let array = value.multiArrayValue!
    return means((0..<array.count).map { array[$0].floatValue })
  }
}

/// Python decoded it: width, height, pixels.
func decoded(_ data: Data) -> Pixels {
  let bytes = [UInt8](data)
  func number(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }
  return Pixels(width: number(0), height: number(4), rgba: Array(bytes[8...]))
}

func passed<Runtime: ModelRuntime>(_ runtime: Runtime) throws -> [Bool] {
  let golden = try Golden(
    read: { try Data(contentsOf: dist.appending(path: $0.replacing(".png", with: ".rgba"))) },
    decode: decoded)
  return try golden.test(Model(about, on: runtime)).map(\.passed)
}

/// A camera frame, 6 by 4, whose planes hold these rows of bytes.
func frame(_ format: OSType, _ planes: [[[UInt8]]]) -> CVPixelBuffer {
  var created: CVPixelBuffer?
  CVPixelBufferCreate(nil, 6, 4, format, nil, &created)
  for (plane, rows) in planes.enumerated() {
    let base = CVPixelBufferGetBaseAddressOfPlane(created!, plane)!
    let stride = CVPixelBufferGetBytesPerRowOfPlane(created!, plane)
    for (y, row) in rows.enumerated() {
      (base + y * stride).copyMemory(from: row, byteCount: row.count)
    }
  }
  return created!
}

/// Different bytes, row by row.
func rows(_ count: Int, of bytes: Int, from first: Int) -> [[UInt8]] {
  var rows = [[UInt8]]()
  for y in 0..<count {
    var row = [UInt8]()
    for x in 0..<bytes { row.append(UInt8(truncatingIfNeeded: first + 37 * y + 11 * x)) }
    rows.append(row)
  }
  return rows
}

/// Whether frames arrive with the colours in their places; the planes as `Pixels(yuv:)` reads them, which
/// Python checks.
func framesArrive() throws -> [Bool] {
  let bgra = rows(4, of: 24, from: 5)
  var rgba = [UInt8]()
  for row in bgra {
    for x in 0..<6 { rgba += [row[4 * x + 2], row[4 * x + 1], row[4 * x], 255] }
  }
  let (luma, chroma) = (rows(4, of: 6, from: 90), rows(2, of: 6, from: 120))
  let packed = Array(luma.joined()).withUnsafeBufferPointer { luma in
    Array(chroma.joined()).withUnsafeBufferPointer { chroma in
      let planes = YuvPlanes(
        luma: luma.baseAddress!, lumaStride: 6, chroma: chroma.baseAddress!, chromaStride: 6)
      return Pixels(yuv: planes, width: 6, height: 4)
    }
  }
  let one = try Pixels(frame(kCVPixelFormatType_32BGRA, [bgra]))
  let two = try Pixels(frame(kCVPixelFormatType_420YpCbCr8BiPlanarFullRange, [luma, chroma]))
  return [one.rgba == rgba, two.rgba == packed.rgba]
}

var results = ["frames": try framesArrive()]
let bgra = [2, 1, 0]
for (order, fault) in [(bgra, ""), ([0, 1, 2], ", colours swapped")] {
  for (type, kind) in [(MLFeatureType.image, "picture"), (.multiArray, "tensor")] {
    for (labels, answer) in [(true, "labels"), (false, "array")] {
      MLModel.standIn = standIn(type, labels: labels, order: order)
      let name = "\(kind) to \(answer)\(fault)"
      results["Core ML: " + name] = try passed(CoreMLRuntime(contentsOf: dist, about: about))
      results["Vision: " + name] = try passed(VisionRuntime(contentsOf: dist, about: about))
    }
  }
}
print(String(decoding: try JSONEncoder().encode(results), as: UTF8.self))

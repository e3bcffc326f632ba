// Sits the exam of ../../../exam.py: Exam FOLDER

import Foundation
import MLCBindings

struct Exam: Decodable {
  struct PixelRow: Decodable {
    let pictureWidth: Int
    let pictureHeight: Int
    let width: Int
    let height: Int
    let color: String
    let resize: String
    let crop_fraction: Double
    let scale: Float
    let mean: [Float]
    let std: [Float]
  }

  struct ScoreRow: Decodable {
    let scores: [Float]
    let kind: String
    let labels: [String]
    let k: Int
  }

  struct Fault: Decodable {
    let offset: Float
    let mirrored: Bool
  }

  struct Yuv: Decodable {
    let width: Int
    let height: Int
    let y: [[UInt8]]
    let u: [[UInt8]]
    let v: [[UInt8]]
  }

  let pixels: [PixelRow]
  let scores: [ScoreRow]
  let faults: [Fault]
  let dist: String
  let yuv: Yuv
}

struct Answers: Encodable {
  struct Top: Encodable {
    let label: String
    let index: Int
    let probability: Float
  }

  struct Case: Encodable {
    let passed: Bool
    let reason: String
    let expected: String?
    let pixelError: Float?
  }

  let scores: [[Top]]
  let golden: [[Case]]
  let yuv: [UInt8]
  let turned: [UInt8]
}

struct Means: ModelRuntime {
  let offset: Float
  let preprocessing: Preprocessing

  func run(_ input: ModelInput) throws -> [String: Tensor] {
    let image =
      switch input {
      case .picture(let fitted): preprocessing.tensor(fitted).data
      case .tensors(let tensors): tensors["image"]!.data
      }
    var sums = [0.0, 0.0, 0.0]
    for (i, value) in image.enumerated() { sums[i % 3] += Double(value) }
    let scores = sums.map { Float(3 * $0 / Double(image.count)) + offset }
    return ["scores": Tensor(scores, shape: [1, 3])]
  }
}

func colorOrder(_ name: String) -> Preprocessing.ColorOrder {
  switch name {
  case "rgb": .rgb
  case "bgr": .bgr
  default: .gray
  }
}

func resizeRule(_ row: Exam.PixelRow) -> Preprocessing.ResizeRule {
  switch row.resize {
  case "stretch": .stretch
  case "crop": .crop(fraction: row.crop_fraction)
  default: .letterbox
  }
}

func preprocess(_ row: Exam.PixelRow, _ k: Int, in folder: URL) throws {
  let how = Preprocessing(
    width: row.width, height: row.height, color: colorOrder(row.color), resize: resizeRule(row),
    scale: row.scale, mean: row.mean, std: row.std)
  let rgba = [UInt8](try Data(contentsOf: folder.appending(path: "\(k).rgba")))
  let pixels = Pixels(width: row.pictureWidth, height: row.pictureHeight, rgba: rgba)
  try Data(how.fit(pixels).bytes).write(to: folder.appending(path: "\(k).fit"))
  let tensor = how.tensor(pixels).data
  let bytes = tensor.withUnsafeBytes { Data($0) }
  try bytes.write(to: folder.appending(path: "\(k).tensor"))
}

func top(_ row: Exam.ScoreRow) throws -> [Answers.Top] {
  let classifier = Classifier(
    output: "scores", scores: row.kind == "logits" ? .logits : .probabilities, labels: row.labels)
  let outputs = ["scores": Tensor(row.scores, shape: [1, row.scores.count])]
  return classifier.topK(try classifier.probabilities(outputs), row.k).map {
    Answers.Top(label: $0.label, index: $0.index, probability: $0.probability)
  }
}

/// Python decoded it: width, height, pixels.
func decoded(_ data: Data) -> Pixels {
  let bytes = [UInt8](data)
  func number(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }
  return Pixels(width: number(0), height: number(4), rgba: Array(bytes[8...]))
}

func mirrored(_ picture: Pixels) -> Pixels {
  var rgba = picture.rgba
  for y in 0..<picture.height {
    for x in 0..<picture.width {
      let (from, to) = (y * picture.width + x, y * picture.width + picture.width - 1 - x)
      for c in 0..<4 { rgba[4 * to + c] = picture.rgba[4 * from + c] }
    }
  }
  return Pixels(width: picture.width, height: picture.height, rgba: rgba)
}

func golden(_ fault: Exam.Fault, _ dist: URL) throws -> [Answers.Case] {
  let golden = try Golden(
    read: { try Data(contentsOf: dist.appending(path: $0.replacing(".png", with: ".rgba"))) },
    decode: { fault.mirrored ? mirrored(decoded($0)) : decoded($0) })
  let runtime = Means(offset: fault.offset, preprocessing: ModelModel.preprocessing)
  return try golden.test(Model(ModelModel.description, on: runtime)).map {
    Answers.Case(
      passed: $0.passed, reason: $0.reason, expected: $0.expected, pixelError: $0.pixelError)
  }
}

func frame(_ yuv: Exam.Yuv) -> Pixels {
  let luma = yuv.y.flatMap { $0 }
  let chroma = zip(yuv.u.flatMap { $0 }, yuv.v.flatMap { $0 }).flatMap { [$0, $1] }
  return luma.withUnsafeBufferPointer { luma in
    chroma.withUnsafeBufferPointer { chroma in
      let planes = YuvPlanes(
        luma: luma.baseAddress!, lumaStride: yuv.width, chroma: chroma.baseAddress!,
        chromaStride: yuv.width)
      return Pixels(yuv: planes, width: yuv.width, height: yuv.height)
    }
  }
}

func rgb(_ pixels: Pixels) -> [UInt8] {
  pixels.rgba.enumerated().filter { $0.offset % 4 < 3 }.map(\.element)
}

let folder = URL(filePath: CommandLine.arguments[1])
let exam = try JSONDecoder().decode(
  Exam.self, from: Data(contentsOf: folder.appending(path: "exam.json")))
for (k, row) in exam.pixels.enumerated() { try preprocess(row, k, in: folder) }
let answers = Answers(
  scores: try exam.scores.map(top),
  golden: try exam.faults.map { try golden($0, URL(filePath: exam.dist)) },
  yuv: rgb(frame(exam.yuv)),
  turned: rgb(frame(exam.yuv).rotated(quarters: 1)))
try JSONEncoder().encode(answers).write(to: folder.appending(path: "answers.json"))

import Foundation

/// A label with its place among the labels and its probability, 0...1.
public struct Prediction: Sendable, Equatable, Identifiable {
  public let label: String
  public let index: Int
  public let probability: Float

  public var id: Int { index }

  public init(label: String, index: Int, probability: Float) {
    self.label = label
    self.index = index
    self.probability = probability
  }
}

/// Which output holds the scores of the labels.
public struct Classifier: Sendable {
  /// What the scores are.
  public enum Scores: Sendable {
    case probabilities
    case logits
  }

  public let output: String
  public let scores: Scores
  public let labels: [String]

  public init(output: String, scores: Scores, labels: [String]) {
    self.output = output
    self.scores = scores
    self.labels = labels
  }

  /// The probability of every label. A single sigmoid score is that of the second of two labels.
  public func probabilities(_ outputs: [String: Tensor]) throws -> [Float] {
    guard let values = outputs[output]?.data else {
      throw ModelError("There is no output \(output).")
    }
    let shares = scores == .logits ? softmax(values) : values
    return shares.count == 1 ? [1 - shares[0], shares[0]] : shares
  }

  /// The `k` most probable labels, best first; of equal ones the earlier label first.
  public func topK(_ probabilities: [Float], _ k: Int) -> [Prediction] {
    let all = zip(labels, probabilities).enumerated().map { index, pair in
      Prediction(label: pair.0, index: index, probability: pair.1)
    }
    let sorted = all.sorted { ($1.probability, $0.index) < ($0.probability, $1.index) }
    return Array(sorted.prefix(k))
  }

  private func softmax(_ scores: [Float]) -> [Float] {
    let highest = scores.max() ?? 0
    let powers = scores.map { exp(Double($0 - highest)) }
    let total = powers.reduce(0, +)
    return powers.map { Float($0 / total) }
  }
}

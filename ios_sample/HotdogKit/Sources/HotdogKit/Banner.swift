/// The big answer across the screen.
///
/// A model that knows hot dogs answers as in the show; any other gives its best label.
public enum Banner: Equatable, Sendable {
  case hotdog
  case notHotdog
  case label(String)

  /// - Parameters:
  ///   - best: the most probable label.
  ///   - labels: all that the model knows.
  public init(best: String, among labels: [String]) {
    if Self.isHotdog(best) {
      self = .hotdog
    } else if labels.contains(where: Self.isHotdog) {
      self = .notHotdog
    } else {
      self = .label(readable(best))
    }
  }

  public var title: String {
    switch self {
    case .hotdog: "Hotdog!"
    case .notHotdog: "Not hotdog"
    case .label(let label): label
    }
  }

  /// `hot_dog` and ImageNet's `hotdog, hot dog, red hot` are; `not_hotdog` is not.
  private static func isHotdog(_ label: String) -> Bool {
    let letters = label.lowercased().filter(\.isLetter)
    guard let found = letters.range(of: "hotdog") else { return false }
    return !["not", "no", "non"].contains(letters[..<found.lowerBound])
  }
}

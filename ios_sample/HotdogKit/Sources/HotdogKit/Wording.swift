import Foundation

/// A label of the training data as people write it: `hot_dog` is `hot dog`.
public func readable(_ label: String) -> String {
  label.replacingOccurrences(of: "_", with: " ")
}

/// A probability, 0...1, such as `98.2%`.
public func percent(_ probability: Float, locale: Locale = .current) -> String {
  Double(probability).formatted(
    .percent.precision(.fractionLength(1)).rounded(rule: .toNearestOrEven).locale(locale))
}

/// How long a prediction took, such as `23.4 ms`.
public func milliseconds(_ duration: Duration, locale: Locale = .current) -> String {
  let value = duration / .milliseconds(1)
  return "\(value.formatted(.number.precision(.fractionLength(1)).locale(locale))) ms"
}

/// What goes along with a shared picture.
public func shareText(_ banner: Banner, probability: Float, locale: Locale = .current) -> String {
  "\(banner.title) (\(percent(probability, locale: locale)))"
}

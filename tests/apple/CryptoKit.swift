import Foundation

/// https://developer.apple.com/documentation/cryptokit/sha256digest
public struct SHA256Digest: Sequence, Sendable {
  public func makeIterator() -> Array<UInt8>.Iterator { [].makeIterator() }
}

/// https://developer.apple.com/documentation/cryptokit/sha256
public struct SHA256: Sendable {
  /// https://developer.apple.com/documentation/cryptokit/hashfunction/hash(data:)
  public static func hash<D: DataProtocol>(data: D) -> SHA256Digest { SHA256Digest() }
}

/// https://developer.apple.com/documentation/cryptokit/curve25519
public enum Curve25519: Sendable {
  /// https://developer.apple.com/documentation/cryptokit/curve25519/signing
  public enum Signing: Sendable {
    /// https://developer.apple.com/documentation/cryptokit/curve25519/signing/publickey
    public struct PublicKey: Sendable {
      /// https://developer.apple.com/documentation/cryptokit/curve25519/signing/publickey/init(rawrepresentation:)
      public init<D: ContiguousBytes>(rawRepresentation: D) throws {}

      /// https://developer.apple.com/documentation/cryptokit/curve25519/signing/publickey/isvalidsignature(_:for:)
      public func isValidSignature<S: DataProtocol, D: DataProtocol>(_ signature: S, for data: D)
        -> Bool
      { fatalError() }
    }
  }
}

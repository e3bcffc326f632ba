import Foundation

/// What updates need of a cryptographic library: on Apple's systems `AppleCryptography`.
public protocol Cryptography: Sendable {
  /// SHA-256, 32 bytes.
  func sha256(_ data: Data) -> Data

  /// Whether `signature` is that of `data` by the Ed25519 `key`; false also for what is no key.
  func isSigned(_ data: Data, signature: Data, key: Data) -> Bool
}

#if canImport(CryptoKit)
  import CryptoKit

  /// CryptoKit's.
  public struct AppleCryptography: Cryptography {
    public init() {}

    public func sha256(_ data: Data) -> Data {
      Data(SHA256.hash(data: data))
    }

    public func isSigned(_ data: Data, signature: Data, key: Data) -> Bool {
      let key = try? Curve25519.Signing.PublicKey(rawRepresentation: key)
      return key?.isValidSignature(signature, for: data) ?? false
    }
  }
#endif

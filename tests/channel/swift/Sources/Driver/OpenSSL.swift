import Foundation
import Updates

/// Stands in for CryptoKit, which Linux lacks: OpenSSL's libcrypto, found at run time.
struct OpenSSL: Cryptography {
  private typealias Pointer = UnsafeMutableRawPointer
  private typealias Bytes = UnsafePointer<UInt8>
  private typealias SHA256 = @convention(c) (Bytes?, Int, UnsafeMutablePointer<UInt8>) -> Pointer?
  private typealias NewKey = @convention(c) (Int32, Pointer?, Bytes?, Int) -> Pointer?
  private typealias New = @convention(c) () -> Pointer?
  private typealias Free = @convention(c) (Pointer?) -> Void
  private typealias Start =
    @convention(c) (Pointer?, Pointer?, Pointer?, Pointer?, Pointer?) -> Int32
  private typealias Verify = @convention(c) (Pointer?, Bytes?, Int, Bytes?, Int) -> Int32

  private static let ed25519: Int32 = 1087  // EVP_PKEY_ED25519

  private func function<T>(_ name: String, _: T.Type) -> T {
    let library = dlopen("libcrypto.so.3", RTLD_NOW)
    return unsafeBitCast(dlsym(library, name), to: T.self)
  }

  func sha256(_ data: Data) -> Data {
    var digest = [UInt8](repeating: 0, count: 32)
    _ = function("SHA256", SHA256.self)([UInt8](data), data.count, &digest)
    return Data(digest)
  }

  func isSigned(_ data: Data, signature: Data, key: Data) -> Bool {
    guard
      let publicKey = function("EVP_PKEY_new_raw_public_key", NewKey.self)(
        Self.ed25519, nil, [UInt8](key), key.count)
    else { return false }
    defer { function("EVP_PKEY_free", Free.self)(publicKey) }
    let context = function("EVP_MD_CTX_new", New.self)()
    defer { function("EVP_MD_CTX_free", Free.self)(context) }
    return function("EVP_DigestVerifyInit", Start.self)(context, nil, nil, nil, publicKey) == 1
      && function("EVP_DigestVerify", Verify.self)(
        context, [UInt8](signature), signature.count, [UInt8](data), data.count) == 1
  }
}

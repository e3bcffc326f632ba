package mlc.updates

import java.math.BigInteger
import java.math.BigInteger.ONE
import java.security.MessageDigest

/**
 * Verifies Ed25519 signatures (RFC 8032, section 5.1).
 *
 * Which versions of Android have `Signature.getInstance("Ed25519")` depends on their security provider, so that
 * relying on it would silently end updates on some phones. Verification handles no secret: it may take its time
 * and need not take the same time. It is tested against OpenSSL and with docs/channel_vectors.json of mlc.
 */
object Ed25519 {
    private val TWO = BigInteger.valueOf(2) // BigInteger.TWO is not on every Android
    private val P = TWO.pow(255) - BigInteger.valueOf(19)
    private val ORDER = TWO.pow(252) + BigInteger("27742317777372353535851937790883648493")
    private val D = (BigInteger.valueOf(-121665) * BigInteger.valueOf(121666).modInverse(P)).mod(P)
    private val ROOT_OF_MINUS_ONE = TWO.modPow((P - ONE) / BigInteger.valueOf(4), P)
    private val BASE = point(littleEndian(BigInteger.valueOf(4) * BigInteger.valueOf(5).modInverse(P) % P))!!
    private val NEUTRAL = Point(BigInteger.ZERO, ONE, ONE, BigInteger.ZERO)

    /** Whether [signature] is that of [data] by [key]: false also for what is no signature or no key. */
    fun verifies(key: ByteArray, signature: ByteArray, data: ByteArray): Boolean {
        if (key.size != 32 || signature.size != 64) return false
        val r = signature.copyOfRange(0, 32)
        val s = number(signature.copyOfRange(32, 64))
        val a = point(key)
        if (a == null || s >= ORDER) return false
        val sha512 = MessageDigest.getInstance("SHA-512")
        listOf(r, key, data).forEach(sha512::update)
        val k = number(sha512.digest()).mod(ORDER)
        return encoded(BASE * s + -a * k).contentEquals(r)
    }

    /** x = X/Z, y = Y/Z, xy = T/Z on the curve −x² + y² = 1 + dx²y². */
    private class Point(val x: BigInteger, val y: BigInteger, val z: BigInteger, val t: BigInteger) {
        operator fun plus(other: Point): Point {
            val a = (y - x) * (other.y - other.x) % P
            val b = (y + x) * (other.y + other.x) % P
            val c = TWO * t * other.t % P * D % P
            val d = TWO * z * other.z % P
            return of(b - a, d - c, d + c, b + a)
        }

        private fun doubled(): Point {
            val a = x * x % P
            val b = y * y % P
            val h = a + b
            val e = h - (x + y) * (x + y)
            val g = a - b
            return of(e, TWO * z * z % P + g, g, h)
        }

        private fun of(e: BigInteger, f: BigInteger, g: BigInteger, h: BigInteger) =
            Point((e * f).mod(P), (g * h).mod(P), (f * g).mod(P), (e * h).mod(P))

        operator fun unaryMinus() = Point(P - x, y, z, P - t)

        operator fun times(scalar: BigInteger): Point {
            var sum = NEUTRAL
            for (bit in scalar.bitLength() - 1 downTo 0) {
                sum = sum.doubled()
                if (scalar.testBit(bit)) sum += this
            }
            return sum
        }
    }

    /** The point of its 32 bytes: y, and in the highest bit whether x is odd. Null if there is none. */
    private fun point(bytes: ByteArray): Point? {
        val odd = bytes[31] < 0
        val y = number(bytes).clearBit(255)
        if (y >= P) return null
        val square = (y * y - ONE) * (D * y * y + ONE).modInverse(P) % P
        var x = square.modPow((P + BigInteger.valueOf(3)) / BigInteger.valueOf(8), P)
        if ((x * x - square).mod(P).signum() != 0) x = x * ROOT_OF_MINUS_ONE % P
        if ((x * x - square).mod(P).signum() != 0 || x.signum() == 0 && odd) return null
        if (x.testBit(0) != odd) x = P - x
        return Point(x, y, ONE, x * y % P)
    }

    private fun encoded(point: Point): ByteArray {
        val inverse = point.z.modInverse(P)
        val y = littleEndian(point.y * inverse % P)
        if ((point.x * inverse % P).testBit(0)) y[31] = (y[31].toInt() or 0x80).toByte()
        return y
    }

    private fun number(littleEndian: ByteArray) = BigInteger(1, littleEndian.reversedArray())

    private fun littleEndian(number: BigInteger) =
        ByteArray(32) { byte -> (number shr (8 * byte)).toByte() }
}

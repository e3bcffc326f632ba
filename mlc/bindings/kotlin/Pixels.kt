package mlc.bindings

import java.nio.ByteBuffer
import kotlin.math.roundToInt

/**
 * A picture as Android hands out pixels: 0xAARRGGBB, row by row. Alpha is passed over.
 *
 * Pure: runs on any JVM. `BitmapPixels.kt` makes one of a Bitmap.
 */
class Pixels(val width: Int, val height: Int, val argb: IntArray) {
    init {
        require(width > 0 && height > 0 && argb.size == width * height) {
            "${argb.size} pixels are no picture of $width × $height."
        }
    }

    /** The picture turned clockwise by 0, 90, 180 or 270 degrees, as a camera's sensor demands. */
    fun rotated(degrees: Int): Pixels {
        val (across, down) = width to height
        return when (Math.floorMod(degrees, 360)) {
            0 -> this
            90 -> arranged(down, across) { x, y -> argb[(down - 1 - x) * across + y] }
            180 -> arranged(across, down) { x, y -> argb[(down - 1 - y) * across + across - 1 - x] }
            270 -> arranged(down, across) { x, y -> argb[x * across + across - 1 - y] }
            else -> throw IllegalArgumentException("$degrees degrees are no quarter turns.")
        }
    }

    private inline fun arranged(width: Int, height: Int, at: (Int, Int) -> Int) =
        Pixels(width, height, IntArray(width * height) { at(it % width, it / width) })
}

/** One plane of a camera frame, as `Image.Plane` and `ImageProxy.PlaneProxy` describe it. */
class Plane(val buffer: ByteBuffer, val rowStride: Int, val pixelStride: Int) {
    operator fun get(x: Int, y: Int): Int = buffer.get(y * rowStride + x * pixelStride).toInt() and 0xFF
}

/** A camera frame of the format YUV_420_888: chroma planes of half the size. */
class YuvFrame(
    val width: Int,
    val height: Int,
    private val y: Plane,
    private val u: Plane,
    private val v: Plane,
) {
    /** Converted by full-range BT.601 (JFIF), which Android's cameras deliver; then turned clockwise. */
    fun pixels(rotation: Int = 0): Pixels {
        val argb = IntArray(width * height)
        for (row in 0 until height) {
            for (column in 0 until width) {
                val luma = y[column, row]
                val blue = u[column / 2, row / 2] - 128
                val red = v[column / 2, row / 2] - 128
                val r = byte(luma + 1.402f * red)
                val g = byte(luma - 0.344136f * blue - 0.714136f * red)
                val b = byte(luma + 1.772f * blue)
                argb[row * width + column] = (0xFF shl 24) or (r shl 16) or (g shl 8) or b
            }
        }
        return Pixels(width, height, argb).rotated(rotation)
    }

    private fun byte(value: Float): Int = value.roundToInt().coerceIn(0, 255)
}

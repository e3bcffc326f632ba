package mlc.bindings

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round

/** The order of the channels in the input tensor. */
enum class ColorOrder(val channels: Int) { RGB(3), BGR(3), GRAY(1) }

/** How a picture is brought to the size of the input. */
enum class ResizeRule {
    /** Fills the input, whatever the aspect ratio. */
    STRETCH,

    /** Takes the centre: a part of the largest centred rectangle of the input's aspect. */
    CROP,

    /** Fits the whole picture, centred, on black. */
    LETTERBOX,
}

/**
 * From pixels to the input tensor, exactly as mlc fed the network that it verified:
 * `tensor = (pixel * scale - mean) / std` with pixel in 0..255.
 *
 * Pure: runs on any JVM. Resizing is bilinear with antialiasing, a triangle filter as wide as the reduction,
 * in two passes with 8-bit pixels between them: what Pillow calls BILINEAR.
 *
 * @property cropFraction With [ResizeRule.CROP]: the part that is kept.
 * @property mean One number, or one per channel in the order of [color]; [std] likewise.
 */
class Preprocessing(
    val width: Int,
    val height: Int,
    val color: ColorOrder,
    val resize: ResizeRule,
    val cropFraction: Double,
    val scale: Float,
    val mean: List<Float>,
    val std: List<Float>,
) {
    /** Shape of the input tensor: one picture, rows, columns, channels. */
    val shape: List<Int> get() = listOf(1, height, width, color.channels)

    /** The input tensor of a picture. */
    fun tensor(pixels: Pixels): Tensor = Tensor(scaled(fit(pixels)), shape)

    /** Bring pixels to the size and channel order of the input: height × width × channels bytes. */
    fun fit(pixels: Pixels): ByteArray {
        val image = inColor(pixels)
        return when (resize) {
            ResizeRule.STRETCH -> resample(image, image.whole(), width, height)
            ResizeRule.CROP -> resample(image, centre(image), width, height)
            ResizeRule.LETTERBOX -> letterbox(image)
        }
    }

    /** Scale bytes in the input's channel order to what the network was trained on. */
    fun scaled(bytes: ByteArray): FloatArray {
        val tables = List(color.channels, ::levels)
        return FloatArray(bytes.size) { tables[it % color.channels][bytes[it].toInt() and 0xFF] }
    }

    /** How far apart two neighbouring pixel values are in the tensor, for each channel. */
    fun pixelSteps(): List<Float> = List(color.channels) { abs(scale / std.of(it)) }

    /** What each of the 256 pixel values becomes. */
    private fun levels(channel: Int): FloatArray {
        val (mean, std) = mean.of(channel) to std.of(channel)
        return FloatArray(256) { (it * scale - mean) / std }
    }

    private fun List<Float>.of(channel: Int): Float = this[if (size == 1) 0 else channel]

    /** Drop alpha and order the channels. Gray is ITU-R 601-2 luma in 16-bit fixed point. */
    private fun inColor(pixels: Pixels): ByteImage {
        val bytes = ByteArray(pixels.argb.size * color.channels)
        var to = 0
        for (argb in pixels.argb) {
            val r = argb shr 16 and 0xFF
            val g = argb shr 8 and 0xFF
            val b = argb and 0xFF
            when (color) {
                ColorOrder.RGB -> { bytes[to++] = r.toByte(); bytes[to++] = g.toByte(); bytes[to++] = b.toByte() }
                ColorOrder.BGR -> { bytes[to++] = b.toByte(); bytes[to++] = g.toByte(); bytes[to++] = r.toByte() }
                ColorOrder.GRAY -> bytes[to++] = (r * 19595 + g * 38470 + b * 7471 + 0x8000 shr 16).toByte()
            }
        }
        return ByteImage(pixels.width, pixels.height, color.channels, bytes)
    }

    private fun centre(image: ByteImage): Box {
        val shrink = min(image.width.toDouble() / width, image.height.toDouble() / height) * cropFraction
        val dx = max(0.0, image.width - width * shrink)
        val dy = max(0.0, image.height - height * shrink)
        val left = floor(dx / 2) // half a pixel would blur
        val top = floor(dy / 2)
        return Box(left, top, left + image.width - dx, top + image.height - dy)
    }

    private fun letterbox(image: ByteImage): ByteArray {
        val grow = min(width.toDouble() / image.width, height.toDouble() / image.height)
        val innerWidth = max(1, round(image.width * grow).toInt()) // halves to even, as Python rounds
        val innerHeight = max(1, round(image.height * grow).toInt())
        val inner = resample(image, image.whole(), innerWidth, innerHeight)
        val left = Math.floorDiv(width - innerWidth, 2)
        val top = Math.floorDiv(height - innerHeight, 2)
        val bytes = ByteArray(width * height * image.channels)
        val row = innerWidth * image.channels
        for (y in 0 until innerHeight) {
            System.arraycopy(inner, y * row, bytes, ((top + y) * width + left) * image.channels, row)
        }
        return bytes
    }
}

/** A picture in the network's channel order. */
private class ByteImage(val width: Int, val height: Int, val channels: Int, val bytes: ByteArray) {
    fun whole() = Box(0.0, 0.0, width.toDouble(), height.toDouble())
}

/** The part of a picture that goes in. */
private class Box(val left: Double, val top: Double, val right: Double, val bottom: Double)

/** Weights are fixed-point numbers with so many bits after the point. */
private const val PRECISION = 22

/** The source pixels that each of [size] output pixels is made of, and their weights. */
private class Taps(from: Double, to: Double, length: Int, size: Int) {
    val first = IntArray(size)
    val weights: Array<IntArray>

    init {
        val start = from.toFloat()
        val scale = (to.toFloat() - start).toDouble() / size
        val support = max(scale, 1.0)
        weights = Array(size) { out ->
            val centre = start + (out + 0.5) * scale
            val low = max(0, (centre - support + 0.5).toInt())
            val high = min(length, (centre + support + 0.5).toInt())
            val shares = DoubleArray(high - low) { triangle((it + low - centre + 0.5) * (1 / support)) }
            val total = shares.fold(0.0) { sum, share -> sum + share }
            first[out] = low
            IntArray(high - low) { (0.5 + shares[it] / total * (1 shl PRECISION)).toInt() }
        }
    }

    /** One past the last source pixel that is used. */
    val end: Int get() = first.last() + weights.last().size

    private fun triangle(x: Double): Double = max(0.0, 1 - abs(x))
}

/** Columns first, then rows; rounded to whole pixels after each. */
private fun resample(image: ByteImage, box: Box, width: Int, height: Int): ByteArray {
    val channels = image.channels
    val across = Taps(box.left, box.right, image.width, width)
    val down = Taps(box.top, box.bottom, image.height, height)
    val firstRow = down.first[0]

    val row = width * channels
    val narrow = ByteArray((down.end - firstRow) * row)
    for (y in 0 until down.end - firstRow) {
        for (x in 0 until width) {
            val start = ((firstRow + y) * image.width + across.first[x]) * channels
            for (channel in 0 until channels) {
                narrow[y * row + x * channels + channel] =
                    blend(image.bytes, start + channel, channels, across.weights[x])
            }
        }
    }

    val result = ByteArray(height * row)
    for (y in 0 until height) {
        val start = (down.first[y] - firstRow) * row
        for (i in 0 until row) result[y * row + i] = blend(narrow, start + i, row, down.weights[y])
    }
    return result
}

/** The weighted sum of every [step]-th byte from [start] on. */
private fun blend(bytes: ByteArray, start: Int, step: Int, weights: IntArray): Byte {
    var sum = 1 shl PRECISION - 1
    var at = start
    for (weight in weights) {
        sum += (bytes[at].toInt() and 0xFF) * weight
        at += step
    }
    return min(sum shr PRECISION, 255).toByte()
}

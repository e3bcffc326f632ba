package mlc.bindings

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.media.Image

/** The pixels of a bitmap, in its own size. */
fun pixelsOf(bitmap: Bitmap): Pixels {
    val argb = IntArray(bitmap.width * bitmap.height)
    bitmap.getPixels(argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    return Pixels(bitmap.width, bitmap.height, argb)
}

/** A camera frame of the format YUV_420_888. */
fun yuvFrameOf(image: Image): YuvFrame {
    val (y, u, v) = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
    return YuvFrame(image.width, image.height, y, u, v)
}

/** Decode a golden PNG without changing a pixel: neither scaled to the screen nor premultiplied. */
fun decodePng(png: ByteArray): Pixels {
    val exact = BitmapFactory.Options().apply {
        inScaled = false
        inPremultiplied = false
        inPreferredConfig = Bitmap.Config.ARGB_8888
    }
    val bitmap = BitmapFactory.decodeByteArray(png, 0, png.size, exact)
    return pixelsOf(checkNotNull(bitmap) { "This is no picture." })
}

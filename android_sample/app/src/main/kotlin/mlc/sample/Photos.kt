package mlc.sample

import android.content.ContentResolver
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Build
import android.provider.MediaStore
import kotlin.math.sqrt

/** Asks for one photo: the system's photo picker, before Android 13 its picker of documents. No permission needed. */
fun photoRequest(): Intent =
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) {
        Intent(MediaStore.ACTION_PICK_IMAGES).setType("image/*")
    } else {
        Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*")
    }

/**
 * The photo, upright, with pixels that can be read.
 *
 * Reduced only where its pixels would not fit into memory several times over. Throws [java.io.IOException].
 */
fun decodePhoto(resolver: ContentResolver, photo: Uri): Bitmap =
    ImageDecoder.decodeBitmap(ImageDecoder.createSource(resolver, photo)) { decoder, info, _ ->
        decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
        val excess = info.size.width.toDouble() * info.size.height / MOST_PIXELS
        if (excess > 1) decoder.setTargetSampleSize(sqrt(excess).toInt() + 1)
    }

private const val MOST_PIXELS = 12_000_000

package mlc.sample

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.content.Intent
import android.database.Cursor
import android.database.MatrixCursor
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Paint
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import mlc.sample.model.Banner

/** Lets the app that the user shares with read the one picture that is shared. */
class SharedPictures : ContentProvider() {
    override fun onCreate() = true

    override fun getType(uri: Uri) = JPEG

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor =
        ParcelFileDescriptor.open(sharedFile(checkNotNull(context)), ParcelFileDescriptor.MODE_READ_ONLY)

    override fun query(
        uri: Uri,
        projection: Array<out String>?,
        selection: String?,
        selectionArgs: Array<out String>?,
        sortOrder: String?,
    ): Cursor {
        val file = sharedFile(checkNotNull(context))
        val row = mapOf(OpenableColumns.DISPLAY_NAME to file.name, OpenableColumns.SIZE to file.length())
        val columns = projection?.filter(row::containsKey) ?: row.keys.toList()
        return MatrixCursor(columns.toTypedArray()).apply { addRow(columns.map(row::get)) }
    }

    override fun insert(uri: Uri, values: ContentValues?) = null

    override fun update(uri: Uri, values: ContentValues?, selection: String?, selectionArgs: Array<out String>?) = 0

    override fun delete(uri: Uri, selection: String?, selectionArgs: Array<out String>?) = 0
}

/** Sends the picture under its banner, with [text]. Throws [java.io.IOException] where it cannot be written. */
fun shareRequest(context: Context, picture: Bitmap, banner: Banner, text: String): Intent {
    sharedFile(context).apply { parentFile?.mkdirs() }.outputStream().use {
        underBanner(context, picture, banner).compress(Bitmap.CompressFormat.JPEG, QUALITY, it)
    }
    val address = Uri.parse("content://${context.packageName}.shared/picture.jpg")
    val send = Intent(Intent.ACTION_SEND).setType(JPEG)
        .putExtra(Intent.EXTRA_TEXT, text)
        .putExtra(Intent.EXTRA_STREAM, address)
        .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
    return Intent.createChooser(send, null)
}

private fun underBanner(context: Context, picture: Bitmap, banner: Banner): Bitmap {
    val height = picture.width / 5
    val card = Bitmap.createBitmap(picture.width, picture.height + height, Bitmap.Config.ARGB_8888)
    val canvas = Canvas(card)
    canvas.drawColor(context.getColor(colorOf(banner.mood)))
    canvas.drawBitmap(picture, 0f, height.toFloat(), null)
    val paint = Paint(Paint.ANTI_ALIAS_FLAG)
    paint.color = context.getColor(R.color.on_banner)
    paint.textAlign = Paint.Align.CENTER
    paint.isFakeBoldText = true
    paint.textSize = height * 0.6f
    paint.textSize *= (picture.width * 0.9f / paint.measureText(banner.text)).coerceAtMost(1f)
    canvas.drawText(banner.text, picture.width / 2f, height * 0.5f - (paint.ascent() + paint.descent()) / 2, paint)
    return card
}

private fun sharedFile(context: Context) = File(context.cacheDir, "shared/picture.jpg")

private const val JPEG = "image/jpeg"
private const val QUALITY = 90

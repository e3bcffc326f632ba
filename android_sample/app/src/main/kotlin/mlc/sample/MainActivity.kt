package mlc.sample

import android.Manifest.permission.CAMERA
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager.PERMISSION_GRANTED
import android.graphics.Bitmap
import android.media.Image
import android.net.Uri
import android.os.Bundle
import android.view.Menu
import android.view.MenuItem
import android.view.View
import android.widget.Button
import android.widget.ImageView
import android.widget.SeekBar
import android.widget.TextView
import android.widget.Toast
import java.io.IOException
import mlc.bindings.ModelDescription
import mlc.bindings.Pixels
import mlc.bindings.pixelsOf
import mlc.bindings.yuvFrameOf
import mlc.sample.camera.LiveCamera
import mlc.sample.model.Answer
import mlc.sample.model.Banner
import mlc.sample.model.FramePacer

/** The result screen: a photo or the live camera, and in big letters what it is. */
class MainActivity : Activity() {
    /** What is on the screen, to be shared. */
    private class Shown(val picture: () -> Bitmap, val banner: Banner, val text: String)

    private val models get() = (application as SampleApp).models
    private val pacer = FramePacer(framesPerSecond = 10)
    private lateinit var panel: ResultPanel
    private lateinit var camera: LiveCamera
    private lateinit var picture: ImageView
    private lateinit var cameraButton: Button
    private lateinit var shareButton: Button
    private var shown: Shown? = null
    private var photo: Uri? = null
    private var resumeCamera = false

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        panel = ResultPanel(this)
        picture = findViewById(R.id.picture)
        cameraButton = findViewById(R.id.camera)
        shareButton = findViewById(R.id.share)
        camera = LiveCamera(this, findViewById(R.id.preview), models.handler, ::onFrame, ::onCameraProblem)
        findViewById<Button>(R.id.pick).setOnClickListener { startActivityForResult(photoRequest(), PICK) }
        cameraButton.setOnClickListener { if (camera.isRunning) stopCamera() else askForCamera() }
        shareButton.setOnClickListener { share() }
        watchFrameRate(findViewById(R.id.frame_rate), findViewById(R.id.frame_rate_text))
        savedInstanceState?.getString(PHOTO)?.let { look(Uri.parse(it)) }
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        photo?.let { outState.putString(PHOTO, it.toString()) }
    }

    override fun onResume() {
        super.onResume()
        if (resumeCamera) startCamera()
    }

    override fun onPause() {
        resumeCamera = camera.isRunning
        stopCamera()
        super.onPause()
    }

    override fun onCreateOptionsMenu(menu: Menu): Boolean {
        menuInflater.inflate(R.menu.main, menu)
        return true
    }

    override fun onOptionsItemSelected(item: MenuItem): Boolean {
        val screen = when (item.itemId) {
            R.id.self_test -> SelfTestActivity::class.java
            R.id.update -> UpdateActivity::class.java
            else -> return super.onOptionsItemSelected(item)
        }
        startActivity(Intent(this, screen))
        return true
    }

    // --- photos ---

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        val picked = data?.data ?: return
        if (requestCode != PICK || resultCode != RESULT_OK) return
        resumeCamera = false
        look(picked)
    }

    private fun look(photo: Uri) {
        this.photo = photo
        models.ask({ model ->
            val bitmap = decodePhoto(contentResolver, photo)
            Triple(bitmap, model.answer(pixelsOf(bitmap)), model.about)
        }) { result ->
            result.onSuccess { (bitmap, answer, about) ->
                picture.setImageBitmap(bitmap)
                show(answer, about) { bitmap }
            }
            result.onFailure { tell(if (it is IOException) R.string.photo_failed else R.string.model_failed, it) }
        }
    }

    // --- the camera ---

    private fun askForCamera() {
        if (checkSelfPermission(CAMERA) == PERMISSION_GRANTED) startCamera()
        else requestPermissions(arrayOf(CAMERA), PERMISSION)
    }

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<out String>, grantResults: IntArray) {
        if (requestCode != PERMISSION) return
        if (grantResults.firstOrNull() == PERMISSION_GRANTED) startCamera() else tell(getString(R.string.camera_denied))
    }

    private fun startCamera() {
        if (!camera.start()) return tell(getString(R.string.no_camera))
        photo = null
        picture.visibility = View.INVISIBLE
        cameraButton.setText(R.string.camera_off)
    }

    private fun stopCamera() {
        camera.stop()
        picture.visibility = View.VISIBLE
        cameraButton.setText(R.string.camera_on)
    }

    private fun onCameraProblem(what: String) {
        stopCamera()
        tell(getString(R.string.camera_failed, what))
    }

    /** On the model's thread. */
    private fun onFrame(frame: Image, rotation: Int) {
        if (!pacer.admits(frame.timestamp)) return
        val pixels = yuvFrameOf(frame).pixels(rotation)
        val result = runCatching { models.now().let { it.answer(pixels) to it.about } }
        runOnUiThread {
            if (!camera.isRunning) return@runOnUiThread
            result.onSuccess { (answer, about) -> show(answer, about) { bitmapOf(pixels) } }
            result.onFailure {
                stopCamera()
                tell(R.string.model_failed, it)
            }
        }
    }

    private fun watchFrameRate(slider: SeekBar, text: TextView) {
        fun show(rate: Int) {
            pacer.framesPerSecond = rate
            text.text = resources.getQuantityString(R.plurals.frame_rate, rate, rate)
        }
        show(slider.progress)
        slider.setOnSeekBarChangeListener(object : SeekBar.OnSeekBarChangeListener {
            override fun onProgressChanged(bar: SeekBar, progress: Int, fromUser: Boolean) = show(progress)

            override fun onStartTrackingTouch(bar: SeekBar) = Unit

            override fun onStopTrackingTouch(bar: SeekBar) = Unit
        })
    }

    // --- answers ---

    private fun show(answer: Answer, about: ModelDescription, picture: () -> Bitmap) {
        val banner = panel.show(answer, about)
        shown = Shown(picture, banner, panel.text(answer, banner, about))
        shareButton.isEnabled = true
    }

    private fun share() {
        val what = shown ?: return
        try {
            startActivity(shareRequest(this, what.picture(), what.banner, what.text))
        } catch (error: IOException) {
            tell(R.string.share_failed, error)
        }
    }

    private fun tell(what: Int, error: Throwable) = tell(getString(what, error.message ?: error.toString()))

    private fun tell(text: String) = Toast.makeText(this, text, Toast.LENGTH_LONG).show()

    private companion object {
        const val PICK = 1
        const val PERMISSION = 2
        const val PHOTO = "photo"
    }
}

private fun bitmapOf(pixels: Pixels) =
    Bitmap.createBitmap(pixels.argb, pixels.width, pixels.height, Bitmap.Config.ARGB_8888)

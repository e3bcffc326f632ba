package mlc.sample.camera

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.params.OutputConfiguration
import android.hardware.camera2.params.SessionConfiguration
import android.hardware.display.DisplayManager
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.util.Size
import android.view.Display
import android.view.SurfaceHolder
import android.view.View

/**
 * The camera on the back, or the only one: a preview, and its frames for the network.
 *
 * Everything but [onFrame] happens on the main thread.
 *
 * @param worker Where frames are handed out; while one is worked on, newer ones replace each other.
 * @param onFrame Gets a frame of the format YUV_420_888, and by how much it must be turned clockwise.
 * @param onProblem Gets what went wrong, after the camera was stopped.
 */
class LiveCamera(
    private val context: Context,
    private val preview: PreviewView,
    private val worker: Handler,
    private val onFrame: (Image, Int) -> Unit,
    private val onProblem: (String) -> Unit,
) : SurfaceHolder.Callback {
    private val manager = context.getSystemService(CameraManager::class.java)
    private var chosen: Source? = null
    private var reader: ImageReader? = null
    private var device: CameraDevice? = null

    val isRunning: Boolean get() = chosen != null

    /** False where there is no camera. The app must have the permission. */
    fun start(): Boolean {
        val source = source() ?: return false
        chosen = source
        preview.holder.addCallback(this) // goes on when there is a surface
        preview.setSource(source.size, turned = source.rotation % 180 != 0)
        preview.visibility = View.VISIBLE
        return true
    }

    fun stop() {
        if (!isRunning) return
        chosen = null
        preview.holder.removeCallback(this)
        preview.visibility = View.GONE
        device?.close()
        device = null
        reader?.let { worker.post(it::close) } // after the frame that is being worked on
        reader = null
    }

    override fun surfaceCreated(holder: SurfaceHolder) = Unit

    override fun surfaceChanged(holder: SurfaceHolder, format: Int, width: Int, height: Int) {
        val source = chosen ?: return
        if (device == null && reader == null && Size(width, height) == source.size) open(source)
    }

    override fun surfaceDestroyed(holder: SurfaceHolder) = stop()

    @SuppressLint("MissingPermission") // start() demands it
    private fun open(source: Source) {
        reader = ImageReader.newInstance(source.size.width, source.size.height, ImageFormat.YUV_420_888, 2).apply {
            setOnImageAvailableListener({ from -> from.acquireLatestImage()?.use { onFrame(it, source.rotation) } }, worker)
        }
        attempt { manager.openCamera(source.camera, context.mainExecutor, opened) }
    }

    private val opened = object : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            if (!isRunning) return camera.close() // stopped meanwhile
            device = camera
            attempt { stream(camera) }
        }

        override fun onDisconnected(camera: CameraDevice) = problem("another app took it.")

        override fun onError(camera: CameraDevice, error: Int) = problem("error $error.")
    }

    private fun stream(camera: CameraDevice) {
        val surfaces = listOf(preview.holder.surface, checkNotNull(reader).surface)
        val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
        surfaces.forEach(request::addTarget)
        val configured = object : CameraCaptureSession.StateCallback() {
            override fun onConfigured(session: CameraCaptureSession) {
                if (device == camera) attempt { session.setRepeatingRequest(request.build(), null, null) }
            }

            override fun onConfigureFailed(session: CameraCaptureSession) = problem("it cannot be configured.")
        }
        val outputs = surfaces.map(::OutputConfiguration)
        camera.createCaptureSession(
            SessionConfiguration(SessionConfiguration.SESSION_REGULAR, outputs, context.mainExecutor, configured),
        )
    }

    private fun attempt(action: () -> Unit) {
        try {
            action()
        } catch (error: CameraAccessException) {
            problem(error.toString())
        } catch (error: IllegalStateException) { // closed meanwhile
            problem(error.toString())
        }
    }

    private fun problem(what: String) {
        if (!isRunning) return
        stop()
        onProblem(what)
    }

    /** A camera, the size of its frames, and by how much they must be turned. */
    private class Source(val camera: String, val size: Size, val rotation: Int)

    private fun source(): Source? {
        val cameras = manager.cameraIdList.map { it to manager.getCameraCharacteristics(it) }
        val (camera, features) = cameras.firstOrNull { (_, it) -> it.facesBack } ?: cameras.firstOrNull() ?: return null
        val streams = features[CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP] ?: return null
        val shown = streams.getOutputSizes(SurfaceHolder::class.java).toSet()
        val both = streams.getOutputSizes(ImageFormat.YUV_420_888).filter(shown::contains)
        val sensor = features[CameraCharacteristics.SENSOR_ORIENTATION] ?: 0
        val turn = if (features.facesBack) sensor - displayDegrees() else sensor + displayDegrees()
        return Source(camera, smallest(both) ?: return null, Math.floorMod(turn, 360))
    }

    private val CameraCharacteristics.facesBack: Boolean
        get() = get(CameraCharacteristics.LENS_FACING) == CameraCharacteristics.LENS_FACING_BACK

    private fun displayDegrees(): Int {
        val displays = context.getSystemService(DisplayManager::class.java)
        return displays.getDisplay(Display.DEFAULT_DISPLAY).rotation * 90
    }

    /** Large enough to look at; a network's input is smaller. Every device has 640 × 480. */
    private fun smallest(sizes: List<Size>): Size? {
        val byArea = sizes.sortedBy { it.width * it.height }
        return byArea.firstOrNull { it.width >= 640 && it.height >= 480 } ?: byArea.lastOrNull()
    }
}

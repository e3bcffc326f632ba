package mlc.sample

import android.app.Application
import android.content.res.AssetManager
import android.os.Build
import java.io.File
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.util.UUID
import mlc.bindings.ModelDescription
import mlc.bindings.TfliteRuntime
import mlc.bindings.decodePng
import mlc.bindings.describe
import mlc.sample.model.ModelFiles
import mlc.sample.model.ModelLoader
import mlc.sample.model.ModelStore
import mlc.sample.model.PredictionMark
import mlc.updates.Channel
import mlc.updates.Device
import mlc.updates.Updates
import org.json.JSONObject

/** What lives as long as the process: the model, on its thread, and where newer ones come from. */
open class SampleApp : Application() {
    val models: ModelThread by lazy {
        ModelThread(ModelStore(bundled, updates(), loader, PredictionMark(File(filesDir, "predicting"))))
    }

    /** How artifacts are run. Tests put an interpreter of their own machine here. */
    protected open val loader = ModelLoader({ file, about -> TfliteRuntime(file, about) }, ::decodePng)

    /** The bundle inside the app. */
    protected open val bundled: ModelFiles by lazy { AssetFiles(assets) }

    /** Null where res/values/channel.xml names no channel. */
    private fun updates(): Updates? {
        val url = getString(R.string.channel_url).ifEmpty { return null }
        val about = describe(JSONObject(bundled.read("manifest.json").decodeToString()))
        val keys = resources.getStringArray(R.array.channel_keys).toList()
        return Updates(Channel(url, about.name, keys, about.version), device(about), File(filesDir, "updates"))
    }

    private fun device(about: ModelDescription) = Device(
        platform = "android",
        target = "tflite",
        app = packageManager.getPackageInfo(packageName, 0).versionName.orEmpty(),
        os = Build.VERSION.SDK_INT.toString(),
        user = user(),
        contract = about.interfaceDigest,
    )

    /** A random number made at the first start; it never leaves the device. */
    private fun user(): String {
        val preferences = getSharedPreferences("updates", MODE_PRIVATE)
        return preferences.getString("user", null)
            ?: UUID.randomUUID().toString().also { preferences.edit().putString("user", it).apply() }
    }
}

/** What `takeBundle` copied. The artifact is not compressed among the assets, so that it can be mapped. */
private class AssetFiles(private val assets: AssetManager) : ModelFiles {
    override fun read(path: String): ByteArray = assets.open(path).use { it.readBytes() }

    override fun map(path: String): ByteBuffer = assets.openFd(path).use { file ->
        file.createInputStream().use {
            it.channel.map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
        }
    }
}

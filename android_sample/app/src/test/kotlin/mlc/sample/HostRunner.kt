package mlc.sample

import android.os.Looper
import java.io.File
import org.junit.runners.model.FrameworkMethod
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.internal.bytecode.InstrumentationConfiguration

/** Android on this machine. Native libraries can be loaded once only, so their classes stay outside of it. */
class HostRunner(test: Class<*>) : RobolectricTestRunner(test) {
    override fun createClassLoaderConfig(method: FrameworkMethod): InstrumentationConfiguration =
        InstrumentationConfiguration.Builder(super.createClassLoaderConfig(method))
            .doNotAcquirePackage("org.bytedeco.")
            .build()
}

/** The bundle that the app was made of. */
val bundleFolder = File(checkNotNull(System.getProperty("mlc.bundle")) { "The property mlc.bundle is not set." })

/** Until the model has answered, and the screen shows it. */
fun settle() {
    val app = RuntimeEnvironment.getApplication() as SampleApp
    shadowOf(Looper.getMainLooper()).idle()
    shadowOf(app.models.handler.looper).idle()
    shadowOf(Looper.getMainLooper()).idle()
}

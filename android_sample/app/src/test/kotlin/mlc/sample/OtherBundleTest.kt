package mlc.sample

import android.graphics.BitmapFactory
import android.view.ViewGroup
import android.widget.TextView
import java.io.File
import mlc.bindings.pixelsOf
import mlc.sample.model.Answer
import mlc.sample.model.Banner
import mlc.sample.model.FolderFiles
import mlc.sample.model.ModelFiles
import mlc.sample.model.Mood
import mlc.sample.model.readable
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeNotNull
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

private val otherFolder: File? = System.getProperty("mlc.other")?.let(::File)

/** The app with another bundle inside: of other labels, another size, other colours. */
class OtherApp : SampleApp() {
    override val bundled: ModelFiles get() = FolderFiles(otherFolder!!)
}

/** That nothing in the app is about one model. The property `mlc.other` names the bundle. */
@RunWith(HostRunner::class)
@Config(application = OtherApp::class)
class OtherBundleTest {
    @Before
    fun thereIsOne() = assumeNotNull("There is no other bundle here.", otherFolder)

    @Test
    fun `its golden cases pass on the screen`() {
        val activity = Robolectric.buildActivity(SelfTestActivity::class.java).setup().get()
        settle()
        val cases = activity.findViewById<ViewGroup>(R.id.cases)
        assertTrue(cases.childCount > 0)
        for (i in 0 until cases.childCount) {
            assertTrue(cases.getChildAt(i).findViewById<TextView>(R.id.verdict).text.startsWith("✓"))
        }
    }

    @Test
    fun `its labels are shown, and its answers are those that were measured`() {
        val golden = JSONObject(File(otherFolder, "golden/golden.json").readText())
        val measured = golden.getJSONObject("artifacts").getJSONObject("tflite").getJSONArray("top1")
        val activity = Robolectric.buildActivity(MainActivity::class.java).setup().get()
        val panel = ResultPanel(activity)
        for (i in 0 until measured.length()) {
            val picture = BitmapFactory.decodeFile(File(otherFolder, "golden/${i + 1}.png").path)
            val shown = mutableListOf<Pair<Answer, Banner>>()
            models.ask({ it.answer(pixelsOf(picture)) to it.about }) {
                val (answer, about) = it.getOrThrow()
                shown += answer to panel.show(answer, about)
            }
            settle()
            val (answer, banner) = shown.single()
            assertEquals(measured.getInt(i), answer.predictions.first().index)
            assertEquals(Banner(readable(answer.predictions.first().label), Mood.NEUTRAL), banner)
        }
    }

    private val models get() = (RuntimeEnvironment.getApplication() as SampleApp).models
}

package mlc.sample

import android.Manifest.permission.CAMERA
import android.app.Activity
import android.content.Intent
import android.graphics.BitmapFactory
import android.net.Uri
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageView
import android.widget.SeekBar
import android.widget.TextView
import java.io.File
import mlc.sample.model.readable
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowToast

@RunWith(HostRunner::class)
class MainActivityTest {
    private val screen = Robolectric.buildActivity(MainActivity::class.java).setup()
    private val activity get() = screen.get()
    private val manifest = JSONObject(File(bundleFolder, "manifest.json").readText())
    private val labels = manifest.getJSONObject("classifier").getJSONArray("labels")

    @Test
    fun `every golden picture gets the label that was measured for it`() {
        val golden = JSONObject(File(bundleFolder, "golden/golden.json").readText())
        val measured = golden.getJSONObject("artifacts").getJSONObject("tflite").getJSONArray("top1")
        for (i in 0 until measured.length()) {
            pick(File(bundleFolder, "golden/${i + 1}.png"))
            val label = labels.getString(measured.getInt(i))
            val first = find<ViewGroup>(R.id.labels).getChildAt(0)
            assertEquals(readable(label), first.findViewById<TextView>(R.id.name).text.toString())
            assertTrue(first.contentDescription.startsWith(readable(label)))
            assertTrue(find<TextView>(R.id.banner).contentDescription.endsWith(find<TextView>(R.id.banner).text))
        }
        assertEquals(minOf(5, labels.length()), find<ViewGroup>(R.id.labels).childCount)
        val about = manifest.getJSONObject("model")
        val timing = find<TextView>(R.id.timing).text.toString()
        assertTrue(timing, timing.matches(Regex("\\d+\\.\\d ms per prediction · .* ${about.getString("version")}")))
    }

    @Test
    fun `the banner is worded and coloured by the label`() {
        pick(File(bundleFolder, "golden/1.png"))
        val best = labelsShown().first()
        val worded = RuntimeEnvironment.getApplication().resources.run {
            getStringArray(R.array.banner_labels).map(::readable).zip(getStringArray(R.array.banner_texts)).toMap()
        }
        val banner = find<TextView>(R.id.banner)
        assertEquals(worded[best] ?: best, banner.text.toString())
        assertTrue(find<ImageView>(R.id.picture).drawable.intrinsicWidth > 0)
    }

    @Test
    fun `the answer outlives a turn of the device`() {
        pick(File(bundleFolder, "golden/1.png"))
        val before = find<TextView>(R.id.banner).text.toString()
        screen.recreate()
        settle()
        assertEquals(before, find<TextView>(R.id.banner).text.toString())
        assertTrue(find<Button>(R.id.share).isEnabled)
    }

    @Test
    fun `a file that is no picture is said to be none`() {
        val text = File(bundleFolder, "manifest.json")
        pick(text)
        assertTrue(ShadowToast.getTextOfLatestToast().startsWith("This picture cannot be read"))
        assertFalse(find<Button>(R.id.share).isEnabled)
    }

    @Test
    fun `what is shared is the picture under its banner`() {
        assertFalse(find<Button>(R.id.share).isEnabled)
        val file = File(bundleFolder, "golden/1.png")
        pick(file)
        shadowOf(activity).clearNextStartedActivities()
        find<Button>(R.id.share).performClick()
        val chooser = shadowOf(activity).nextStartedActivity
        assertEquals(Intent.ACTION_CHOOSER, chooser.action)
        val sent = checkNotNull(chooser.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java))
        assertTrue(sent.getStringExtra(Intent.EXTRA_TEXT)!!.startsWith(find<TextView>(R.id.banner).text))
        val address = checkNotNull(sent.getParcelableExtra(Intent.EXTRA_STREAM, Uri::class.java))
        val shared = activity.contentResolver.openInputStream(address).use(BitmapFactory::decodeStream)
        val picture = BitmapFactory.decodeFile(file.path)
        assertEquals(picture.width, shared.width)
        assertEquals(picture.height + picture.width / 5, shared.height)
        activity.contentResolver.query(address, null, null, null, null)!!.use {
            assertTrue(it.moveToFirst())
            assertEquals("picture.jpg", it.getString(0))
        }
    }

    @Test
    fun `the slider sets the frame rate and says so`() {
        val slider = find<SeekBar>(R.id.frame_rate)
        slider.progress = 1
        assertEquals("1 frame per second", find<TextView>(R.id.frame_rate_text).text.toString())
        slider.progress = 30
        assertEquals("30 frames per second", find<TextView>(R.id.frame_rate_text).text.toString())
    }

    @Test
    fun `the camera is asked for, and missed where there is none`() {
        find<Button>(R.id.camera).performClick()
        assertEquals(listOf(CAMERA), shadowOf(activity).lastRequestedPermission.requestedPermissions.toList())
        shadowOf(RuntimeEnvironment.getApplication()).grantPermissions(CAMERA)
        find<Button>(R.id.camera).performClick()
        assertEquals("This device has no camera.", ShadowToast.getTextOfLatestToast())
        assertEquals(View.GONE, find<View>(R.id.preview).visibility)
    }

    @Test
    fun `the menu leads to the other screens`() {
        for ((item, screen) in mapOf(R.id.self_test to SelfTestActivity::class, R.id.update to UpdateActivity::class)) {
            shadowOf(activity).clickMenuItem(item)
            assertEquals(screen.java.name, shadowOf(activity).nextStartedActivity.component?.className)
        }
    }

    private fun pick(photo: File) {
        find<Button>(R.id.pick).performClick()
        val request = shadowOf(activity).nextStartedActivityForResult
        assertNotNull(request)
        val address = Uri.parse("content://photos/${photo.name}")
        shadowOf(activity.contentResolver).registerInputStreamSupplier(address, photo::inputStream)
        shadowOf(activity).receiveResult(request.intent, Activity.RESULT_OK, Intent().setData(address))
        settle()
    }

    private fun labelsShown(): List<String> = find<ViewGroup>(R.id.labels).run {
        List(childCount) { getChildAt(it).findViewById<TextView>(R.id.name).text.toString() }
    }

    private fun <T : View> find(id: Int): T = activity.findViewById(id)
}

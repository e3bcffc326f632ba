package mlc.sample

import android.widget.Button
import android.widget.TextView
import java.io.File
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric

@RunWith(HostRunner::class)
class UpdateActivityTest {
    private val activity = Robolectric.buildActivity(UpdateActivity::class.java).setup().get()

    @Test
    fun `it says which model runs`() {
        settle()
        val model = JSONObject(File(bundleFolder, "manifest.json").readText()).getJSONObject("model")
        assertEquals("${model.getString("name")} ${model.getString("version")}", text(R.id.model))
        assertTrue(text(R.id.digest).matches(Regex("SHA-256 [0-9a-f]{64}")))
    }

    @Test
    fun `an app without a channel says so`() {
        val check = activity.findViewById<Button>(R.id.check)
        check.performClick()
        var patience = 100
        while (!check.isEnabled && patience-- > 0) { // the network has a thread without a looper
            Thread.sleep(20)
            settle()
        }
        assertTrue(text(R.id.outcome).startsWith("This app has no update channel"))
    }

    private fun text(id: Int) = activity.findViewById<TextView>(id).text.toString()
}

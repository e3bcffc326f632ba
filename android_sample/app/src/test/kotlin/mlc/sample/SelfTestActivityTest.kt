package mlc.sample

import android.view.ViewGroup
import android.widget.TextView
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.annotation.Config

@RunWith(HostRunner::class)
class SelfTestActivityTest {
    @Test
    fun `every golden case passes, and says by how much`() {
        val (summary, verdicts) = screen()
        assertTrue(verdicts.isNotEmpty())
        assertTrue(summary, summary.startsWith("${verdicts.size} of ${verdicts.size} case"))
        verdicts.forEach { (verdict, details) ->
            assertTrue(verdict, verdict.startsWith("✓"))
            assertTrue(details, "allowed are" in details)
        }
    }

    @Test
    @Config(application = SkewedApp::class)
    fun `on a device with wrong kernels every case fails, with the reason`() {
        val (summary, verdicts) = screen()
        assertTrue(summary, summary.startsWith("0 of ${verdicts.size} case"))
        verdicts.forEach { (verdict, details) ->
            assertTrue(verdict, verdict.startsWith("✗"))
            assertTrue(details, Regex("""is off by 0\.[12]\d*""").containsMatchIn(details))
        }
    }

    private fun screen(): Pair<String, List<Pair<String, String>>> {
        val activity = Robolectric.buildActivity(SelfTestActivity::class.java).setup().get()
        settle()
        val cases = activity.findViewById<ViewGroup>(R.id.cases)
        val rows = List(cases.childCount, cases::getChildAt)
        return activity.findViewById<TextView>(R.id.summary).text.toString() to rows.map {
            it.findViewById<TextView>(R.id.verdict).text.toString() to
                it.findViewById<TextView>(R.id.details).text.toString()
        }
    }
}
